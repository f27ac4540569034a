//! Variances, correlations and regressions, from the sums that DataFusion's accumulators keep, as PostgreSQL answers them. What
//! DataFusion makes of these sums forgets that one NaN has no variance, and that a horizontal line fits its points.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Float64Array};
use arrow::datatypes::{Float64Type, UInt64Type};
use datafusion::common::Result;

use super::signs;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Statistic {
    VarianceOfSample,
    VarianceOfAll,
    DeviationOfSample,
    DeviationOfAll,
    Correlation,
    Slope,
    Intercept,
    /// How much of the variance of y a line explains.
    Determination,
}

use Statistic::{
    Correlation, Determination, DeviationOfAll, DeviationOfSample, Intercept, Slope, VarianceOfAll,
    VarianceOfSample,
};

/// Means, and sums of squares of differences from them. Of one variable, the others are 0.
#[derive(Clone, Copy, Debug)]
struct Sums {
    count: f64,
    mean_x: f64,
    mean_y: f64,
    squares_x: f64,
    squares_y: f64,
    products: f64,
}

impl Statistic {
    pub(super) fn of(function: &str) -> Option<Self> {
        Some(match function {
            "var" => VarianceOfSample,
            "var_pop" => VarianceOfAll,
            "stddev" => DeviationOfSample,
            "stddev_pop" => DeviationOfAll,
            "corr" => Correlation,
            "regr_slope" => Slope,
            "regr_intercept" => Intercept,
            "regr_r2" => Determination,
            _ => return None,
        })
    }

    /// The places of the sums in a state of DataFusion's, after the count: mean of x, mean of y, squares of x, squares of y,
    /// products.
    fn places(self) -> [Option<usize>; 5] {
        match self {
            VarianceOfSample | VarianceOfAll | DeviationOfSample | DeviationOfAll => {
                [Some(1), None, Some(2), None, None]
            }
            Correlation => [Some(1), Some(3), Some(2), Some(4), Some(5)],
            Slope | Intercept | Determination => [Some(1), Some(2), Some(3), Some(4), Some(5)],
        }
    }

    /// The statistics of some groups.
    pub(super) fn of_states(self, states: &[ArrayRef]) -> Result<ArrayRef> {
        // Of distinct values, the state is these values.
        if let Some(groups) = states[0].as_list_opt::<i32>() {
            let of_group = |values: Option<ArrayRef>| self.of_values(values?.as_primitive::<Float64Type>());
            let statistics: ArrayRef = Arc::new(groups.iter().map(of_group).collect::<Float64Array>());
            return Ok(signs::clear(&statistics));
        }
        let counts = states[0].as_primitive::<UInt64Type>();
        let columns =
            self.places().map(|place| place.map(|place| states[place].as_primitive::<Float64Type>()));
        let of_group = |(group, count): (usize, &u64)| {
            let [mean_x, mean_y, squares_x, squares_y, products] =
                columns.map(|column| column.map_or(0.0, |column| column.value(group)));
            self.of_sums(Sums { count: number(*count), mean_x, mean_y, squares_x, squares_y, products })
        };
        let statistics: Float64Array = counts.values().iter().enumerate().map(of_group).collect();
        let statistics: ArrayRef = Arc::new(statistics);
        Ok(signs::clear(&statistics))
    }

    fn of_values(self, values: &Float64Array) -> Option<f64> {
        let count = number(values.len() as u64);
        let mean_x = values.values().iter().sum::<f64>() / count;
        let squares_x = values.values().iter().map(|value| (value - mean_x).powi(2)).sum();
        self.of_sums(Sums { count, mean_x, mean_y: 0.0, squares_x, squares_y: 0.0, products: 0.0 })
    }

    /// `None` for NULL.
    fn of_sums(self, sums: Sums) -> Option<f64> {
        let Sums { count, mean_x, mean_y, squares_x, squares_y, products } = sums;
        let variance = match self {
            VarianceOfSample | DeviationOfSample => (count > 1.0).then(|| squares_x / (count - 1.0)),
            _ => (count > 0.0).then(|| squares_x / count),
        }?;
        // All points have one x.
        let is_vertical = squares_x == 0.0;
        match self {
            VarianceOfSample | VarianceOfAll => Some(variance),
            DeviationOfSample | DeviationOfAll => Some(variance.sqrt()),
            Correlation if is_vertical || squares_y == 0.0 => None,
            Correlation => Some(correlation(products, squares_x, squares_y)),
            _ if is_vertical => None,
            Slope => Some(products / squares_x),
            Intercept => Some(mean_y - products / squares_x * mean_x),
            Determination if squares_y == 0.0 => Some(1.0),
            Determination => Some(products * products / (squares_x * squares_y)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows in memory")]
fn number(count: u64) -> f64 {
    count as f64
}

fn correlation(products: f64, squares_x: f64, squares_y: f64) -> f64 {
    let product = squares_x * squares_y;
    // Why not always: the product of small or large numbers leaves what a double can be.
    if product.is_normal() {
        products / product.sqrt()
    } else {
        products / squares_x.sqrt() / squares_y.sqrt()
    }
}
