//! Looks over all words of a granule, compiled twice: also for processors with AVX2, where the compiler finds
//! vectors of more kinds of words.
//!
//! The only unsafe code is the call of the second form, behind the check that the processor has it.

use super::layout::Order;
use super::word::Word;

/// `wide! { fn name<T>(arguments) -> Result = body; }`: `name` calls `body`, an `#[inline(always)]` function.
macro_rules! wide {
    ($(#[$doc:meta])* fn $name:ident<T>($($argument:ident: $type:ty),*) -> $result:ty = $body:ident;) => {
        $(#[$doc])*
        pub(crate) fn $name<T: Word>($($argument: $type),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                #[target_feature(enable = "avx2")]
                fn with_avx2<T: Word>($($argument: $type),*) -> $result {
                    $body($($argument),*)
                }
                // SAFETY: the processor has what the function was compiled for.
                return unsafe { with_avx2($($argument),*) };
            }
            $body($($argument),*)
        }
    };
}

wide! {
    /// The ranks of the least and the greatest of `values`, of which there is at least one.
    fn extent<T>(values: &[T], order: Order) -> (T, T) = extent_of;
}

wide! {
    /// Runs of equal values; one if there are no values.
    fn count_runs<T>(values: &[T]) -> usize = runs_of;
}

#[inline(always)]
fn extent_of<T: Word>(values: &[T], order: Order) -> (T, T) {
    let first = values[0].rank(order);
    let (mut low, mut high) = (first, first);
    for value in values {
        let rank = value.rank(order);
        low = low.min(rank);
        high = high.max(rank);
    }
    (low, high)
}

#[inline(always)]
fn runs_of<T: Word>(values: &[T]) -> usize {
    1 + values.iter().zip(values.get(1..).unwrap_or_default()).filter(|(a, b)| a != b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Word>(word: impl Fn(u64) -> T) {
        let mut state = 5u64;
        for length in [1, 2, 3, 31, 32, 33, 200] {
            let values: Vec<T> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(11);
                    word(if state >> 62 == 0 { 7 } else { state >> 20 })
                })
                .collect();
            for order in [Order::Unsigned, Order::Signed] {
                assert_eq!(extent(&values, order), extent_of(&values, order));
                assert!(values.iter().all(|v| v.rank(order) <= extent(&values, order).1));
            }
            assert_eq!(count_runs(&values), values.chunk_by(|a, b| a == b).count());
        }
        assert_eq!(count_runs::<T>(&[]), 1);
    }

    #[test]
    fn both_forms_agree() {
        check(|n| n as u8);
        check(|n| n as u16);
        check(|n| n as u32);
        check(|n| n);
        check(|n| (n as i128) << 40);
    }
}
