//! Errors of the broker, by kind of request, in each state of a consumer: what was asked is asked again, every row
//! comes once, and the consumer consumes in the end. The embedded broker answers each request of a kind with the
//! next error of a list; what a fatal error of the client does is the business of the tests with a real broker.

use rdkafka::types::{RDKafkaApiKey as Key, RDKafkaRespErr as Error};

use super::*;

/// When the errors come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the consumer has anything.
    Joining,
    /// While messages flow.
    Consuming,
    /// While an insert takes its time.
    Inserting,
}

const STATES: [State; 3] = [State::Joining, State::Consuming, State::Inserting];

/// Kinds of requests, and what the broker may answer to them.
fn cases() -> Vec<(Key, Vec<Error>)> {
    use Error::*;
    let lost = [RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT];
    let group = [
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
    ];
    let member = [
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
    ];
    let partition = [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    ];
    let all = |lists: &[&[Error]]| lists.concat();
    vec![
        (Key::Fetch, all(&[&lost, &partition, &[RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH]])),
        (Key::ListOffsets, all(&[&lost, &partition])),
        (Key::Metadata, all(&[&lost, &[RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE]])),
        (Key::FindCoordinator, all(&[&lost, &group[..2]])),
        (Key::JoinGroup, all(&[&lost, &group, &member[..1]])),
        (Key::SyncGroup, all(&[&lost, &group, &member])),
        (Key::Heartbeat, all(&[&lost, &group, &member])),
        (Key::OffsetFetch, all(&[&lost, &group])),
        (Key::OffsetCommit, all(&[&lost, &group, &member])),
    ]
}

fn one(key: Key, errors: &[Error], state: State) {
    let mut rig = Rig::new(
        2,
        &[
            ("kafka_assignment", "group"),
            ("kafka_session_timeout_ms", "6000"),
            ("kafka_heartbeat_interval_ms", "200"),
        ],
    );
    if state == State::Inserting {
        Arc::get_mut(&mut rig.keeper).unwrap().delay = Duration::from_millis(300);
    }
    rig.produce(0..200, 2);
    let engine = match state {
        State::Joining => {
            rig.broker.fail_requests(key, errors).unwrap();
            rig.start()
        }
        _ => {
            let engine = rig.start();
            rig.wait_for("the first rows", || rig.count() > 0);
            rig.broker.fail_requests(key, errors).unwrap();
            engine
        }
    };
    // Some now, so that there is something to ask for, some when the errors are through.
    rig.produce(200..400, 2);
    rig.wait_for(&format!("rows in spite of {key:?} {state:?}"), || rig.count() >= 400);
    rig.broker.pass_requests(key).unwrap();
    rig.produce(400..600, 2);
    rig.wait_for(&format!("rows after {key:?} {state:?}"), || rig.count() >= 600);
    rig.assert_exact(600);
    rig.wait_for(&format!("a consumer that consumes after {key:?} {state:?}"), || {
        engine.consumers().iter().all(|s| s.state == ConsumerState::Consuming)
    });
    engine.shutdown(QUICK);
    rig.assert_exact(600);
}

#[test]
fn errors_of_every_request_in_every_state() {
    let cases = cases();
    let codes: usize = cases.iter().map(|(_, errors)| errors.len()).sum();
    std::thread::scope(|scope| {
        // They mostly wait, each for delays of its own client.
        for (key, errors) in &cases {
            for state in STATES {
                scope.spawn(move || one(*key, errors, state));
            }
        }
    });
    eprintln!("{codes} errors of {} requests, each in {} states", cases.len(), STATES.len());
}
