//! Probability distributions that the statistical tests need: normal, Student's t and Fisher's F, by the
//! regularized incomplete beta function and the error function.

use crate::functions::special::{erfc, log_gamma};

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut product = d;
    for m in 1..=500 {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut step = 1.0;
        for term in [even, odd] {
            d = 1.0 / not_zero(1.0 + term * d);
            c = not_zero(1.0 + term / c);
            step = d * c;
            product *= step;
        }
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    product
}

/// The regularized incomplete beta function I_x(a, b).
pub(crate) fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front =
        (log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges quickly on this side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(a, b, x) / a
    } else {
        1.0 - front * beta_fraction(b, a, 1.0 - x) / b
    }
}

/// P(|T| >= |t|) of Student's distribution.
pub(crate) fn student_two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The t that is exceeded with probability `tail` (0 < tail < 0.5).
pub(crate) fn student_upper_quantile(tail: f64, freedom: f64) -> f64 {
    upper_quantile(tail, |t| student_two_sided(t, freedom) / 2.0)
}

/// P(F >= f) of Fisher's distribution.
pub(crate) fn fisher_upper(f: f64, first: f64, second: f64) -> f64 {
    incomplete_beta(second / 2.0, first / 2.0, second / (second + first * f))
}

/// P(Z <= z) of the normal distribution.
pub(crate) fn normal(z: f64) -> f64 {
    erfc(-z / std::f64::consts::SQRT_2) / 2.0
}

/// The z that is exceeded with probability `tail`.
pub(crate) fn normal_upper_quantile(tail: f64) -> f64 {
    upper_quantile(tail, |z| erfc(z / std::f64::consts::SQRT_2) / 2.0)
}

/// Where a falling function reaches `tail`, by bisection.
fn upper_quantile(tail: f64, exceeded: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while exceeded(high) > tail && high < 1e300 {
        low = high;
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = (low + high) / 2.0;
        if middle == low || middle == high {
            break;
        }
        if exceeded(middle) > tail { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        close(student_two_sided(-0.3692744729379983, 18.0), 0.716231383316418);
        close(student_upper_quantile(0.025, 18.0), 2.100922040241038);
        close(normal_upper_quantile(0.025), 1.959963984540054);
        close(fisher_upper(0.04497354497354497, 2.0, 17.0), 0.9561361255189117);
        close(normal(0.0), 0.5);
    }
}
