//! Smaller queries, one step away each: for a query on which two engines differ, the smallest that still differs tells most.

use super::ast::{Body, Distinct, Expr, From, Grouping, Query, Select};

/// All queries that are one step smaller, the largest steps first. Not all of them are valid SQL.
#[must_use]
pub fn smaller(query: &Query) -> Vec<Query> {
    let mut found = Vec::new();
    if let Some(order) = &query.order {
        // Without an order, which rows DISTINCT ON keeps is left to chance.
        if !matches!(&query.body, Body::Select(select) if matches!(select.distinct, Distinct::On(_))) {
            found.push(Query {
                order: None,
                ..query.clone()
            });
        }
        if order.limit.is_some() {
            let mut without = query.clone();
            without.order.iter_mut().for_each(|order| order.limit = None);
            found.push(without);
        }
    }
    for place in 0..query.with.len() {
        let mut without = query.clone();
        without.with.remove(place);
        found.push(without);
    }
    found.extend(narrower(query));
    found.extend(
        bodies(&query.body)
            .into_iter()
            .map(|body| Query { body, ..query.clone() }),
    );
    for (place, (_, inner)) in query.with.iter().enumerate() {
        for smaller in smaller(inner) {
            let mut changed = query.clone();
            changed.with[place].1 = smaller;
            found.push(changed);
        }
    }
    found
}

/// Without one of the columns, in all arms of set operations.
fn narrower(query: &Query) -> Vec<Query> {
    let width = query.body.width();
    if width < 2 {
        return Vec::new();
    }
    let without = |place| {
        let mut narrower = query.clone();
        remove_column(&mut narrower.body, place);
        if let Some(order) = &mut narrower.order
            && place < order.directions.len()
        {
            order.directions.remove(place);
        }
        narrower
    };
    (0..width).map(without).collect()
}

fn remove_column(body: &mut Body, place: usize) {
    match body {
        Body::Select(select) => {
            if place < select.items.len() {
                select.items.remove(place);
            }
        }
        Body::Set(left, _, right) => {
            remove_column(left, place);
            remove_column(right, place);
        }
    }
}

fn bodies(body: &Body) -> Vec<Body> {
    match body {
        Body::Select(select) => selects(select)
            .into_iter()
            .map(|select| Body::Select(Box::new(select)))
            .collect(),
        Body::Set(left, operation, right) => {
            let mut found = vec![(**left).clone(), (**right).clone()];
            let with = |l: &Body, r: &Body| Body::Set(Box::new(l.clone()), operation, Box::new(r.clone()));
            found.extend(bodies(left).iter().map(|l| with(l, right)));
            found.extend(bodies(right).iter().map(|r| with(left, r)));
            found
        }
    }
}

fn selects(select: &Select) -> Vec<Select> {
    let mut found = Vec::new();
    let mut push = |change: &dyn Fn(&mut Select)| {
        let mut changed = select.clone();
        change(&mut changed);
        if changed != *select {
            found.push(changed);
        }
    };
    push(&|select| select.filter = None);
    push(&|select| select.having = None);
    push(&|select| select.qualify = None);
    push(&|select| select.distinct = Distinct::No);
    push(&|select| select.grouping = Grouping::Plain);
    for place in 0..select.groups.len() {
        push(&|select| drop(select.groups.remove(place)));
    }
    for from in froms(&select.from) {
        push(&|select| select.from = from.clone());
    }
    for filter in select.filter.iter().flat_map(exprs) {
        push(&|select| select.filter = Some(filter.clone()));
    }
    for having in select.having.iter().flat_map(exprs) {
        push(&|select| select.having = Some(having.clone()));
    }
    for qualify in select.qualify.iter().flat_map(exprs) {
        push(&|select| select.qualify = Some(qualify.clone()));
    }
    if let Grouping::Sets(sets) = &select.grouping
        && sets.len() > 1
    {
        for place in 0..sets.len() {
            let mut fewer = sets.clone();
            fewer.remove(place);
            push(&|select| select.grouping = Grouping::Sets(fewer.clone()));
        }
    }
    for (place, item) in select.items.iter().enumerate() {
        for smaller in exprs(item) {
            // A group and its column shrink together.
            push(&|select| {
                select.items[place] = smaller.clone();
                select
                    .groups
                    .iter_mut()
                    .filter(|group| *group == item)
                    .for_each(|group| *group = smaller.clone());
            });
        }
    }
    found
}

fn froms(from: &From) -> Vec<From> {
    match from {
        From::Table(..) => Vec::new(),
        From::Query(query, alias) => {
            let queries = smaller(query).into_iter();
            queries
                .map(|query| From::Query(Box::new(query), alias.clone()))
                .collect()
        }
        From::Join(left, kind, right, on) => {
            let with =
                |l: &From, r: &From, on: Option<Expr>| From::Join(Box::new(l.clone()), kind, Box::new(r.clone()), on);
            let mut found = vec![(**left).clone(), (**right).clone()];
            found.extend(froms(left).iter().map(|l| with(l, right, on.clone())));
            found.extend(froms(right).iter().map(|r| with(left, r, on.clone())));
            found.extend(on.iter().flat_map(exprs).map(|on| with(left, right, Some(on))));
            found
        }
    }
}

/// The arguments of the same kind in the expression's place, then the expression with a smaller argument.
fn exprs(expr: &Expr) -> Vec<Expr> {
    let (Expr::Call(_, arguments, kind) | Expr::Subquery(_, arguments, _, kind)) = expr else {
        return Vec::new();
    };
    let mut found: Vec<Expr> = arguments
        .iter()
        .filter(|argument| argument.kind() == *kind)
        .cloned()
        .collect();
    for (place, argument) in arguments.iter().enumerate() {
        for smaller in exprs(argument) {
            let mut changed = expr.clone();
            if let Expr::Call(_, arguments, _) | Expr::Subquery(_, arguments, ..) = &mut changed {
                arguments[place] = smaller;
            }
            found.push(changed);
        }
    }
    if let Expr::Subquery(template, arguments, query, kind) = expr {
        let queries = smaller(query).into_iter();
        found.extend(queries.map(|query| Expr::Subquery(template, arguments.clone(), Box::new(query), *kind)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::{query, tables};
    use super::*;

    /// Shrinks while `keep` holds.
    fn shrunk(mut query: Query, keep: impl Fn(&Query) -> bool) -> Query {
        while let Some(next) = smaller(&query).into_iter().find(&keep) {
            query = next;
        }
        query
    }

    #[test]
    fn shrinking_ends_and_keeps_what_matters() {
        let tables = tables(1);
        let mut tried = 0;
        for index in 0..300 {
            let query = query(1, index, &tables);
            if query.to_string().contains("FULL JOIN") {
                let small = shrunk(query.clone(), |query| query.to_string().contains("FULL JOIN"));
                assert!(small.to_string().len() <= query.to_string().len());
                assert!(!small.is_ordered() && small.body.width() == 1, "{small}");
                tried += 1;
            }
        }
        assert!(tried > 5);
    }
}
