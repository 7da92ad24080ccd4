//! `count(DISTINCT x)` by keys with strings, where the pairs of keys and x were scattered: the keys of
//! each pair go on to the next grouping as they are packed, with the strings where they lie, and not
//! by way of columns.

use parking_lot::Mutex;

use super::radix::{Groups, Scatter, Sealed};
use super::{AggregateNode, Collect, Local};
use crate::error::Result;
use crate::execute::Env;
use crate::execute::pipeline::{Consumer, Driven, for_each_index};

/// Whether pairs that were collected for `pair` can be counted for `outer` as they are packed.
pub(super) fn are_packed(outer: &AggregateNode, collected: &Collect) -> bool {
    let scattered = |local: &Local| local.single().is_none();
    let any_scattered = || {
        let done = collected.done.lock();
        done.iter().any(|share| share.sets.iter().flatten().any(|(local, _)| scattered(local)))
    };
    let has_texts =
        |set: &super::GroupingSet| set.radix.as_ref().is_some_and(|plan| plan.layout.has_texts());
    matches!(collected.sets.as_slice(), [set] if set.radix.is_some())
        && matches!(outer.sets().as_slice(), [set] if has_texts(set))
        && any_scattered()
        && !collected.has_spilled()
}

/// Counts the pairs of `collected` by the keys of `outer`, which are the first of each pair, and pushes
/// the groups.
pub(super) fn count(
    outer: &AggregateNode,
    collected: Collect,
    env: &Env,
    base: usize,
    consumer: &dyn Consumer,
) -> Result<Driven> {
    let Collect { sets, done, .. } = collected;
    let outer_sets = outer.sets();
    let (Some(plan), [outer_set]) = (sets.first().and_then(|s| s.radix.as_ref()), &outer_sets[..])
    else {
        return Ok(Driven::default());
    };
    let Some(outer_plan) = &outer_set.radix else { return Ok(Driven::default()) };
    let (mut scattered, mut guards) = (vec![], vec![]);
    for (local, guard) in done.into_inner().into_iter().flat_map(|s| s.sets).flatten() {
        scattered.push(local.into_scatter(plan)?);
        guards.push(guard);
    }
    let pairs = Sealed::of(plan, scattered)?;
    let memory = Mutex::new(env.ctx.memory.reserve(0)?);
    let workers: Mutex<Vec<(Groups, Scatter)>> = Mutex::new(vec![]);
    for_each_index(&env.ctx, plan.layout.partitions(), env.threads, &|p| {
        let taken = workers.lock().pop();
        let (mut groups, mut keys) = match taken {
            Some(worker) => worker,
            None => (Groups::new(&plan.layout), Scatter::new(outer_plan)),
        };
        let bytes = |groups: &Groups, keys: &Scatter| groups.memory_bytes() + keys.memory_bytes();
        let before = bytes(&groups, &keys);
        pairs.group(p, &mut groups)?;
        keys.add_keys(&plan.layout, groups.rows())?;
        {
            let mut memory = memory.lock();
            let used = memory.bytes();
            memory.grow_to((used + bytes(&groups, &keys)).saturating_sub(before))?;
        }
        workers.lock().push((groups, keys));
        Ok(())
    })?;
    let keys = workers.into_inner().into_iter().map(|(_, keys)| keys).collect();
    let sealed = Sealed::of(outer_plan, keys)?.with_texts(pairs);
    let morsels = outer.emit_sealed(outer_set, outer_plan, &sealed, env, base, consumer)?;
    drop(guards);
    Ok(Driven { morsels, totals: None })
}
