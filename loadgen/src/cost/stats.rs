//! Medians and quartiles of a few dozen figures.
//! Invariant: no figures give no summary, never a made-up zero.

use serde::Serialize;

/// The middle of some figures and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The median.
    pub(crate) median: f64,
    /// The first quartile.
    pub(crate) p25: f64,
    /// The third quartile.
    pub(crate) p75: f64,
}

impl Summary {
    /// Summarises `figures`; `None` when there are none. Figures must be finite.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        if sorted.is_empty() {
            return None;
        }
        let at = |fraction| quantile(&sorted, fraction);
        Some(Self { median: at(0.5), p25: at(0.25), p75: at(0.75) })
    }
}

/// The value at `fraction` (0 to 1) of `sorted`, interpolated between its neighbours.
fn quantile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let weight = position - below as f64;
    sorted[below] * (1.0 - weight) + sorted[above] * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_figures_have_no_summary() {
        assert_eq!(Summary::of([]), None);
    }

    #[test]
    fn one_figure_is_its_own_median_and_quartiles() {
        assert_eq!(Summary::of([2.5]), Some(Summary { median: 2.5, p25: 2.5, p75: 2.5 }));
    }

    #[test]
    fn order_does_not_matter_and_positions_between_figures_are_interpolated() {
        assert_eq!(Summary::of([4.0, 1.0, 3.0, 2.0]), Some(Summary { median: 2.5, p25: 1.75, p75: 3.25 }));
    }
}
