//! How large a regular expression becomes when it is compiled: `(a{1,1000}){1,1000}` is a million states out of 18 letters. The engine
//! compiles a pattern for each batch of rows and, where it is constant, for each rule that tries to compute it beforehand.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Functions whose second argument is a pattern begin with this.
const FUNCTIONS: &str = "regexp_";

/// States, about, of the largest constant pattern in `plan`. What is no pattern at all counts nothing: its error comes when it is used.
pub(super) fn most_states(plan: &LogicalPlan) -> Result<u64> {
    let mut most = 0;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                most = most.max(pattern(part).map_or(0, states_of));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(most)
}

/// The constant pattern that an expression matches against.
fn pattern(expression: &Expr) -> Option<&str> {
    let pattern = match expression {
        Expr::BinaryExpr(binary) if is_match(binary.op) => binary.right.as_ref(),
        Expr::SimilarTo(like) => like.pattern.as_ref(),
        Expr::ScalarFunction(call) if call.name().starts_with(FUNCTIONS) => call.args.get(1)?,
        _ => return None,
    };
    match pattern {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

fn is_match(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch
    )
}

fn states_of(pattern: &str) -> u64 {
    regex_syntax::parse(pattern).map_or(0, |hir| states(&hir))
}

/// The parser bounds the depth of what it returns, and so of this recursion.
fn states(hir: &Hir) -> u64 {
    let sum = |parts: &[Hir]| parts.iter().map(states).fold(1, u64::saturating_add);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Class(Class::Unicode(class)) => class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Capture(capture) => states(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => sum(parts),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            states(&repetition.sub).saturating_mul(u64::from(times))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use datafusion::prelude::SessionContext;

    use super::*;

    #[test]
    fn repetitions_multiply() {
        assert_eq!(states_of("abc"), 3);
        assert_eq!(states_of("a{1,1000}"), 1000);
        assert_eq!(states_of("(?:(?:a{1,1000}){1,1000}){1,1000}"), 1_000_000_000);
        assert!(states_of(r"(\w{1,500}){1,500}") > 100_000_000);
        assert!(states_of(r"^[\w.+-]+@[\w-]+\.\w{2,}(\.[a-z]{1,63}){0,5}$") < 5_000);
        assert_eq!(states_of("(unclosed"), 0);
    }

    #[tokio::test]
    async fn patterns_are_found_wherever_they_stand() {
        let huge = "(?:a{1,1000}){1,1000}";
        for sql in [
            format!("select 'a' ~ '{huge}'"),
            format!("select 1 where 'a' !~* '{huge}'"),
            format!("select 'a' similar to '{huge}'"),
            format!("select regexp_replace('a', '{huge}', 'b')"),
            format!("select 1 where exists (select 1 where regexp_like('a', '{huge}'))"),
            format!("select case when regexp_count('a', '{huge}') > 1 then 2 end from (values (1)) t(x) order by 1"),
        ] {
            let plan = SessionContext::new().state().create_logical_plan(&sql).await.unwrap();
            assert_eq!(most_states(&plan).unwrap(), 1_000_000, "{sql}");
        }
    }
}
