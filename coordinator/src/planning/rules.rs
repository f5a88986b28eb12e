//! Which rules optimize a physical plan.

use std::sync::Arc;

use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use quarry_engine::grouping_sets::ForgetKeys;

use super::filters::PushFilters;
use super::joins::{OrderJoins, RepartitionJoins, SortLargeJoins};
use super::statistics::AnswerFromStatistics;

pub(crate) type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// DataFusion's rules with ours among them, first what is not to be relied on. Joins are ordered after DataFusion chose sides by what it knows, and before
/// exchanges are placed. Filters are pushed down by [`PushFilters`], statistics used by [`AnswerFromStatistics`].
#[must_use]
pub fn physical_rules() -> Vec<Rule> {
    let rules = PushFilters::instead_of_own(PhysicalOptimizer::new().rules);
    let mut rules = AnswerFromStatistics::instead_of_own(rules);
    let place = rules
        .iter()
        .position(|rule| rule.name() == "join_selection")
        .map_or(0, |index| index + 1);
    let joins: [Rule; 3] = [
        Arc::new(OrderJoins),
        Arc::new(SortLargeJoins),
        Arc::new(RepartitionJoins),
    ];
    rules.splice(place..place, joins);
    rules.insert(0, Arc::new(ForgetKeys));
    rules
}

/// The rules with another in the place of each whose name `is` accepts.
pub(super) fn replaced(rules: Vec<Rule>, is: impl Fn(&str) -> bool, other: impl Fn(Rule) -> Rule) -> Vec<Rule> {
    let replaced = rules.into_iter().map(|own| match is(own.name()) {
        true => other(own),
        false => own,
    });
    replaced.collect()
}
