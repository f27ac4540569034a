//! The order in which the tables of a batch are written, as their foreign keys ask for it: a row is inserted after the
//! rows that it names, and deleted before them, whatever the order of the configuration.

/// The places of tables so that each comes after its parents. `parents[n]` are the places of those that table `n` names.
/// Tables that name each other in a cycle keep their order; they are returned, too.
pub(super) fn parents_first(parents: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
    let in_cycles: Vec<usize> = (0..parents.len()).filter(|table| reaches(parents, *table)).collect();
    let mut left: Vec<usize> = (0..parents.len()).collect();
    let mut order = Vec::with_capacity(parents.len());
    while !left.is_empty() {
        let is_free = |table: &usize| parents[*table].iter().all(|parent| !left.contains(parent));
        // If each that is left waits for another, the first that waits for itself goes next.
        let next = left.iter().position(is_free);
        let next = next.or_else(|| left.iter().position(|table| in_cycles.contains(table)));
        order.push(left.remove(next.unwrap_or(0)));
    }
    (order, in_cycles)
}

/// Whether a table names itself, by way of others or not.
fn reaches(parents: &[Vec<usize>], table: usize) -> bool {
    let mut seen = vec![false; parents.len()];
    let mut next = parents[table].clone();
    while let Some(parent) = next.pop() {
        if parent == table {
            return true;
        }
        if !std::mem::replace(&mut seen[parent], true) {
            next.extend(&parents[parent]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_come_first_and_others_keep_their_order() {
        // 0 names 2, 2 names 3.
        let parents = [vec![2], vec![], vec![3], vec![], vec![1]];
        assert_eq!(parents_first(&parents), (vec![1, 3, 2, 0, 4], vec![]));
        assert_eq!(parents_first(&[]), (vec![], vec![]));
    }

    #[test]
    fn tables_in_a_cycle_keep_their_order() {
        // 1 and 2 name each other, 0 names 1, and 3 names itself.
        let parents = [vec![1], vec![2], vec![1], vec![3]];
        assert_eq!(parents_first(&parents), (vec![1, 0, 2, 3], vec![1, 2, 3]));
    }
}
