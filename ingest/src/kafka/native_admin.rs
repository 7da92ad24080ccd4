//! The broker's topic ids and the sizes of groups, over librdkafka's C functions: the safe wrapper has none for them.
//!
//! One of the few files with `unsafe`. Invariants: the client is live for the whole call; everything
//! made here is destroyed here, once, in the reverse order; ids and errors are read before their event
//! is destroyed. No safe twin exists; without an id the checks that rest on it are left out.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::types::RDKafkaRespErr;
use uuid::Uuid;

/// The id of `topic`; None if it does not exist, or the broker does not answer or has no ids.
pub(super) fn topic_id(client: *mut c::rd_kafka_t, topic: &str, time: Duration) -> Option<Uuid> {
    let name = CString::new(topic).ok()?;
    let timeout_ms = time.as_millis().min(60_000) as i32;
    let mut names = [name.as_ptr()];
    // SAFETY: `client` is live; `names` outlives the collection's making, which copies it.
    unsafe {
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let queue = c::rd_kafka_queue_new(client);
        let options = c::rd_kafka_AdminOptions_new(
            client,
            c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        c::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        c::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = c::rd_kafka_queue_poll(queue, timeout_ms);
        let id = if event.is_null() { None } else { id_of(event) };
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_AdminOptions_destroy(options);
        c::rd_kafka_queue_destroy(queue);
        c::rd_kafka_TopicCollection_destroy(topics);
        id.filter(|id| !id.is_nil())
    }
}

/// SAFETY: `event` must be live.
unsafe fn id_of(event: *mut c::rd_kafka_event_t) -> Option<Uuid> {
    // SAFETY: results belong to the event and live as long as it does.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        let failed = c::rd_kafka_event_error(event);
        if result.is_null() || failed != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return None;
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if topics.is_null() || count == 0 {
            return None;
        }
        let topic = *topics;
        let error = c::rd_kafka_TopicDescription_error(topic);
        let failed = !error.is_null()
            && c::rd_kafka_error_code(error) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        if failed || id.is_null() {
            return None;
        }
        let high = c::rd_kafka_Uuid_most_significant_bits(id) as u64;
        let low = c::rd_kafka_Uuid_least_significant_bits(id) as u64;
        Some(Uuid::from_u64_pair(high, low))
    }
}

/// How many members each of `groups` has, for those that are settled and could be asked.
pub(super) fn group_sizes(
    client: *mut c::rd_kafka_t,
    groups: &[&str],
    time: Duration,
) -> BTreeMap<String, usize> {
    let timeout_ms = time.as_millis().min(60_000) as i32;
    let names: Vec<CString> = groups.iter().filter_map(|g| CString::new(*g).ok()).collect();
    let mut pointers: Vec<*const c_char> = names.iter().map(|n| n.as_ptr()).collect();
    if pointers.is_empty() {
        return BTreeMap::new();
    }
    // SAFETY: `client` is live; the names outlive the call that copies them.
    unsafe {
        let queue = c::rd_kafka_queue_new(client);
        let options = c::rd_kafka_AdminOptions_new(
            client,
            c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
        );
        c::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
        let (at, count) = (pointers.as_mut_ptr(), pointers.len());
        c::rd_kafka_DescribeConsumerGroups(client, at, count, options, queue);
        let event = c::rd_kafka_queue_poll(queue, timeout_ms + 1000);
        let sizes = if event.is_null() { BTreeMap::new() } else { sizes_of(event) };
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_AdminOptions_destroy(options);
        c::rd_kafka_queue_destroy(queue);
        sizes
    }
}

/// SAFETY: `event` must be live.
unsafe fn sizes_of(event: *mut c::rd_kafka_event_t) -> BTreeMap<String, usize> {
    let mut sizes = BTreeMap::new();
    // SAFETY: results belong to the event and live as long as it does.
    unsafe {
        let result = c::rd_kafka_event_DescribeConsumerGroups_result(event);
        if result.is_null() {
            return sizes;
        }
        let mut count = 0;
        let groups = c::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        for at in 0..if groups.is_null() { 0 } else { count } {
            let group = *groups.add(at);
            let error = c::rd_kafka_ConsumerGroupDescription_error(group);
            let failed = !error.is_null()
                && c::rd_kafka_error_code(error) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
            let state = c::rd_kafka_ConsumerGroupDescription_state(group);
            let settled = c::rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE;
            let name = c::rd_kafka_ConsumerGroupDescription_group_id(group);
            if failed || state != settled || name.is_null() {
                continue;
            }
            let name = CStr::from_ptr(name).to_string_lossy().into_owned();
            sizes.insert(name, c::rd_kafka_ConsumerGroupDescription_member_count(group));
        }
    }
    sizes
}

/// Makes the client fail for good, as if it had met a fatal error; for tests.
pub(super) fn fail_for_test(client: *mut c::rd_kafka_t) {
    let reason = c"a fatal error, for a test";
    // SAFETY: `client` is live; the reason is copied.
    unsafe {
        c::rd_kafka_test_fatal_error(
            client,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
            reason.as_ptr(),
        );
    }
}
