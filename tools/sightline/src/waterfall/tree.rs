//! Arranges spans as a tree: each span below its parent, and siblings sorted by start time.
//!
//! The stored spans of a trace may not form a tree. A parent may be missing, a span may be stored twice, and wrong ids
//! may form a cycle. Every span is shown exactly once in all these cases. The code does not recurse, because a trace
//! can be thousands of spans deep.

use std::collections::HashMap;

use crate::jaeger::Span;

/// The maximum number of levels with tree lines. More levels do not fit into a terminal. Without a limit, the lines of
/// a deep trace would take memory in proportion to the square of its depth.
pub(super) const MAX_GUIDES: usize = 32;

/// A span with its position in the tree.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) span: &'a Span,
    /// The number of levels below the root or orphan at the top: 0 for a root or orphan, 1 for its children.
    pub(super) depth: usize,
    /// For each level between the root and this span, up to [`MAX_GUIDES`] levels: whether the vertical line of the
    /// level continues below this row.
    pub(super) guides: Vec<bool>,
    pub(super) position: Position,
}

/// The position of a span in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// It has no parent, or its parent is the caller's span.
    Root,
    /// Its parent is not stored, or is a descendant of this span.
    Orphan,
    /// Its parent is shown above it.
    Child {
        /// Whether it is the last of its siblings.
        last: bool,
    },
}

/// Returns a row for each span: parents before children, and siblings sorted by start time. `caller` is the id of a
/// span that is known not to be stored. The children of that span are roots and not orphans.
pub(super) fn arrange<'a>(spans: &'a [Span], caller: Option<&str>) -> Vec<Row<'a>> {
    let forest = Forest::new(spans, caller);
    let mut rows = Vec::with_capacity(spans.len());
    let mut shown = vec![false; spans.len()];
    for &root in &forest.roots {
        let parent = spans[root].parent_span_id.as_deref();
        let position = if parent.is_none() || parent == caller { Position::Root } else { Position::Orphan };
        forest.walk(root, position, &mut shown, &mut rows);
    }
    // Spans that cannot be reached from a root belong to a cycle or descend from a cycle. Show each cycle starting with
    // its earliest span.
    let mut rest: Vec<_> = (0..spans.len()).filter(|&index| !shown[index]).collect();
    rest.sort_by_key(|&index| forest.order(index));
    for index in rest {
        if !shown[index] {
            forest.walk(index, Position::Orphan, &mut shown, &mut rows);
        }
    }
    rows
}

struct Forest<'a> {
    spans: &'a [Span],
    roots: Vec<usize>,
    children: HashMap<usize, Vec<usize>>,
}

impl<'a> Forest<'a> {
    fn new(spans: &'a [Span], caller: Option<&str>) -> Self {
        let mut by_id: HashMap<&str, usize> = HashMap::with_capacity(spans.len());
        for (index, span) in spans.iter().enumerate() {
            by_id.entry(&span.span_id).or_insert(index);
        }
        let mut forest = Self { spans, roots: Vec::new(), children: HashMap::new() };
        for (index, span) in spans.iter().enumerate() {
            let parent = span.parent_span_id.as_deref().filter(|id| Some(*id) != caller);
            match parent.and_then(|id| by_id.get(id)) {
                Some(&parent) => forest.children.entry(parent).or_default().push(index),
                None => forest.roots.push(index),
            }
        }
        let order = |index: &usize| (spans[*index].start, *index);
        forest.roots.sort_by_key(order);
        for children in forest.children.values_mut() {
            children.sort_by_key(order);
        }
        forest
    }

    fn order(&self, index: usize) -> (u64, usize) {
        (self.spans[index].start, index)
    }

    /// Appends the rows of a span and its descendants.
    fn walk(&self, root: usize, position: Position, shown: &mut [bool], rows: &mut Vec<Row<'a>>) {
        let mut stack = vec![(root, 0, Vec::new(), position)];
        while let Some((index, depth, guides, position)) = stack.pop() {
            if std::mem::replace(&mut shown[index], true) {
                continue;
            }
            let mut child_guides = guides.clone();
            if let Position::Child { last } = position
                && child_guides.len() < MAX_GUIDES
            {
                child_guides.push(!last);
            }
            let children = self.children.get(&index).map_or(&[][..], Vec::as_slice);
            // A child that is already shown closes a cycle, and is not shown again.
            let mut last = true;
            for &child in children.iter().rev().filter(|&&child| !shown[child]) {
                stack.push((child, depth + 1, child_guides.clone(), Position::Child { last }));
                last = false;
            }
            rows.push(Row { span: &self.spans[index], depth, guides, position });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::span;
    use super::*;

    fn names(rows: &[Row<'_>]) -> Vec<(String, usize, Position)> {
        rows.iter().map(|row| (row.span.span_id.clone(), row.depth, row.position)).collect()
    }

    const LAST: Position = Position::Child { last: true };

    #[test]
    fn arranges_children_below_their_parent_by_start_time() {
        let spans = [
            span("c2", Some("a"), 30, 10),
            span("g", Some("c1"), 12, 2),
            span("c1", Some("a"), 10, 10),
            span("a", None, 0, 100),
        ];
        let rows = names(&arrange(&spans, None));
        let expected = [
            ("a", 0, Position::Root),
            ("c1", 1, Position::Child { last: false }),
            ("g", 2, LAST),
            ("c2", 1, LAST),
        ];
        assert_eq!(rows, expected.map(|(id, depth, position)| (id.to_owned(), depth, position)));
    }

    #[test]
    fn a_span_with_a_missing_parent_is_an_orphan_unless_the_caller_is_its_parent() {
        let spans = [span("a", Some("gone"), 0, 100), span("b", Some("a"), 1, 1)];
        assert_eq!(arrange(&spans, None)[0].position, Position::Orphan);
        assert_eq!(arrange(&spans, Some("gone"))[0].position, Position::Root);
    }

    #[test]
    fn shows_cycles_and_duplicates_once() {
        let spans = [
            span("a", Some("b"), 5, 1),
            span("b", Some("a"), 4, 1),
            span("self", Some("self"), 9, 1),
            span("r", None, 0, 1),
            span("r", None, 0, 1),
            span("x", Some("r"), 1, 1),
        ];
        let rows = names(&arrange(&spans, None));
        assert_eq!(
            rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(),
            ["r", "x", "r", "b", "a", "self"]
        );
        assert_eq!(rows[3].2, Position::Orphan);
    }

    #[test]
    fn a_deep_trace_does_not_overflow_the_stack() {
        let spans: Vec<_> = (0..20_000_u64)
            .map(|n| span(&n.to_string(), n.checked_sub(1).map(|p| p.to_string()).as_deref(), n + 1, 1))
            .collect();
        let rows = arrange(&spans, None);
        assert_eq!((rows.len(), rows[19_999].depth, rows[19_999].guides.len()), (20_000, 19_999, MAX_GUIDES));
    }
}
