//! A function compiled twice, also for processors with AVX2: the same safe code, with vectors of twice
//! the width where the compiler finds any.
//!
//! The only unsafe code is the call of the second form, behind the check that the processor has it.

/// `multiversion! { fn name<T: Bound>(arguments) -> Result = body; }`: `name` calls `body`, an `#[inline(always)]`
/// function.
macro_rules! multiversion {
    ($(#[$doc:meta])* $visible:vis fn $name:ident$(<$generic:ident: $bound:path>)?($($argument:ident: $type:ty),*) -> $result:ty = $body:ident;) => {
        $(#[$doc])*
        $visible fn $name$(<$generic: $bound>)?($($argument: $type),*) -> $result {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
                fn wide$(<$generic: $bound>)?($($argument: $type),*) -> $result {
                    $body($($argument),*)
                }
                if std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("bmi1")
                    && std::arch::is_x86_feature_detected!("bmi2")
                    && std::arch::is_x86_feature_detected!("popcnt")
                {
                    // SAFETY: the processor has what `wide` was compiled for.
                    return unsafe { wide($($argument),*) };
                }
            }
            $body($($argument),*)
        }
    };
}

pub(crate) use multiversion;
