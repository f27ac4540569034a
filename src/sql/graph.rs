//! In which order views are computed and keyed tables are looked up: it follows from what they read.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Blame, SqlError};
use super::names;
use super::view_files::ViewFiles;
use super::{BATCH, TableSpec};
use crate::diagnostic::{Code, Place, shown};

/// Views in a folder, at most; it bounds how deep the search for circles goes.
const VIEWS_MAX: usize = 1000;

/// What of the views and tables is computed for a batch.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// State, and every view that no other reads and that computes neither state nor the keys of a table.
    Leaves,
    /// State, and these views.
    Outputs(&'a [String]),
    /// The same, and all other views and tables after it.
    Whole(&'a [String]),
}

/// What is computed for a batch, and what is not.
#[derive(Debug)]
pub(super) struct Graph {
    /// All there is, each after what it reads; what the scope needs comes first.
    pub(super) order: Vec<Node>,
    /// For each of `order`, the places of what it reads.
    pub(super) reads: Vec<Vec<usize>>,
    /// How many of `order` the scope needs.
    pub(super) needed: usize,
    /// The outputs, in the order they were asked for.
    pub(super) outputs: Vec<String>,
    /// Views that neither an output nor state needs.
    pub(super) unused: Vec<String>,
}

/// One thing to do for a batch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Node {
    /// Look up the rows of this table, by its place among the tables.
    Table(usize),
    /// Compute this view.
    View(String),
}

impl Graph {
    /// The part that consists of these nodes. None of them may read one that is left out.
    pub(super) fn only(self, is_kept: impl Fn(&Node) -> bool) -> Self {
        let kept: Vec<bool> = self.order.iter().map(is_kept).collect();
        // For each place, how many before it are kept: where the node is now.
        let place = |old: usize| kept[..old].iter().filter(|kept| **kept).count();
        let moved = |reads: Vec<usize>| {
            reads.into_iter().filter(|read| kept[*read]).map(place).collect::<Vec<usize>>()
        };
        let (needed, mut is_kept) = (place(self.needed), kept.iter());
        let nodes = self.order.into_iter().zip(self.reads).filter(|_| is_kept.next() == Some(&true));
        let (order, reads) = nodes.map(|(node, reads)| (node, moved(reads))).unzip();
        Self { order, reads, needed, ..self }
    }
}

/// Finds the order in which everything within the scope is computed; beside it all faults of names: taken twice, unknown,
/// or reading each other in a circle.
pub(super) fn resolve(files: &ViewFiles, tables: &[TableSpec], scope: Scope<'_>) -> (Graph, Vec<Blame>) {
    let mut errors = Vec::new();
    let relations = Relations::new(files, tables, &mut errors);
    relations.check_references(&mut errors);
    relations.check_states(&mut errors);
    let is_state = |view: &String| tables.iter().any(|table| table.state_view() == Some(view.as_str()));
    let is_key = |view: &String| {
        let mut places = tables.iter().flat_map(|table| table.matches.iter().flatten());
        places.any(|place| place.relation == *view)
    };
    let outputs = match scope {
        Scope::Outputs(wanted) | Scope::Whole(wanted) => relations.check_outputs(wanted, &mut errors),
        Scope::Leaves => files.leaves().into_iter().filter(|leaf| !is_state(leaf) && !is_key(leaf)).collect(),
    };
    let mut search = Search {
        relations: &relations,
        state: BTreeMap::new(),
        path: Vec::new(),
        order: Vec::new(),
        errors: Vec::new(),
    };
    for output in &outputs {
        search.visit(&Node::View(output.clone()));
    }
    for (index, view) in relations.states() {
        search.visit(&Node::Table(index));
        search.visit(&Node::View(view.to_owned()));
    }
    let written = search.order.len();
    if matches!(scope, Scope::Whole(_)) {
        let open = tables.iter().enumerate().filter(|(_, table)| table.is_open());
        open.for_each(|(index, _)| search.visit(&Node::Table(index)));
        files.names().for_each(|name| search.visit(&Node::View(name.to_owned())));
    }
    let needed = search.order.len();
    // Why: faults of views that no output needs are faults too, and where every view is in a circle there is no leaf
    // to start from.
    for name in files.names() {
        search.visit(&Node::View(name.to_owned()));
    }
    errors.append(&mut search.errors);
    let order = search.order;
    if needed == 0 && errors.is_empty() && files.broken().next().is_none() {
        let place = Place::of_file(shown(files.folder()));
        let error = SqlError::wrong(Code::Output, place, "no output: nothing would be written");
        errors.push((String::new(), error.with_hint("name a view under `outputs` in the configuration")));
    }
    let used: BTreeSet<&Node> = order[..written].iter().collect();
    let is_unused = |name: &&str| !used.contains(&Node::View((*name).to_owned()));
    let unused = files.names().filter(is_unused).map(str::to_owned).collect();
    let places: BTreeMap<&Node, usize> =
        order.iter().enumerate().map(|(place, node)| (node, place)).collect();
    let reads_of = |node| relations.reads(node).iter().filter_map(|read| places.get(read).copied()).collect();
    let reads = order.iter().map(reads_of).collect();
    (Graph { order, reads, needed, outputs, unused }, errors)
}

/// The names that SQL may use.
struct Relations<'a> {
    files: &'a ViewFiles,
    tables: &'a [TableSpec],
}

impl<'a> Relations<'a> {
    fn new(files: &'a ViewFiles, tables: &'a [TableSpec], errors: &mut Vec<Blame>) -> Self {
        for view in files.iter() {
            let place = Place::of_file(view.file.clone());
            if view.name == BATCH {
                let message =
                    format!("a view cannot be called `{BATCH}`: that is the messages of the trigger");
                let error = SqlError::wrong(Code::Name, place, message).with_hint("rename the file");
                errors.push((view.name.clone(), error));
            } else if tables.iter().any(|table| table.name == view.name) {
                let message = format!("`{}` is a table of the configuration and a view", view.name);
                let error = SqlError::wrong(Code::Name, place, message).with_hint("rename one of them");
                errors.push((view.name.clone(), error));
            }
        }
        for (index, table) in tables.iter().enumerate() {
            let place = table.place.clone();
            if table.name == BATCH {
                let message =
                    format!("a table cannot be called `{BATCH}`: that is the messages of the trigger");
                let error = SqlError::wrong(Code::Name, place, message).with_hint("rename the table");
                errors.push((table.name.clone(), error));
            } else if tables[..index].iter().any(|other| other.name == table.name) {
                let message = format!("two tables are called `{}`", table.name);
                errors.push((table.name.clone(), SqlError::wrong(Code::Name, place, message)));
            }
        }
        if files.names().count() > VIEWS_MAX {
            let place = Place::of_file(shown(files.folder()));
            let message = format!("{} views, but at most {VIEWS_MAX} are allowed", files.names().count());
            errors.push((String::new(), SqlError::wrong(Code::File, place, message)));
        }
        Self { files, tables }
    }

    fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let tables = self.tables.iter().map(|table| table.name.as_str());
        tables.chain(self.files.names()).chain([BATCH])
    }

    /// The node of a name; `None` for `batch`, which is there from the start, and for names of nothing.
    fn node(&self, name: &str) -> Option<Node> {
        if let Some(index) = self.tables.iter().position(|table| table.name == name) {
            return Some(Node::Table(index));
        }
        self.files.get(name).map(|view| Node::View(view.name.clone()))
    }

    fn check_references(&self, errors: &mut Vec<Blame>) {
        let known: BTreeSet<&str> = self.names().chain(self.files.broken()).collect();
        for view in self.files.iter() {
            for reference in view.reads.iter().filter(|read| !known.contains(read.relation.as_str())) {
                let message = format!("no view or table `{}`", reference.relation);
                let error = SqlError::wrong(Code::UnknownRelation, reference.place.clone(), message);
                let hint = names::relation_hint(&reference.relation, self.names());
                errors.push((view.name.clone(), error.with_hint(hint)));
            }
        }
        for table in self.tables {
            let unknown =
                table.matches.iter().flatten().filter(|place| !known.contains(place.relation.as_str()));
            for place in unknown {
                let message = format!(
                    "`{}` matches `{}.{}`, but there is no view or table `{}`",
                    table.name, place.relation, place.column, place.relation
                );
                let error = SqlError::wrong(Code::UnknownRelation, table.place.clone(), message);
                let hint = names::hint(&place.relation, self.names());
                errors.push((table.name.clone(), error.with_hint_if_some(hint)));
            }
        }
    }

    fn check_outputs(&self, wanted: &[String], errors: &mut Vec<Blame>) -> Vec<String> {
        for name in wanted.iter().filter(|name| !self.files.has_file(name)) {
            let place = Place::of_file(shown(self.files.folder()));
            let message = format!("no view for the output `{name}`: {name}.sql does not exist");
            let hint = names::hint(name, self.files.names());
            let error = SqlError::wrong(Code::Output, place, message).with_hint_if_some(hint);
            errors.push((String::new(), error));
        }
        wanted.iter().filter(|name| self.files.get(name).is_some()).cloned().collect()
    }

    fn check_states(&self, errors: &mut Vec<Blame>) {
        for table in self.tables {
            let Some(view) = table.state_view().filter(|view| !self.files.has_file(view)) else {
                continue;
            };
            let place = table.place.clone();
            let message = format!("no view for the state table `{}`: {view}.sql does not exist", table.name);
            let hint = names::hint(view, self.files.names());
            let error = SqlError::wrong(Code::State, place, message).with_hint_if_some(hint);
            errors.push((table.name.clone(), error));
        }
    }

    /// State tables by their place among the tables, with the views that compute their new rows.
    fn states(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let files = self.files;
        let views =
            self.tables.iter().enumerate().filter_map(|(index, table)| Some((index, table.state_view()?)));
        views.filter(move |(_, view)| files.get(view).is_some())
    }

    fn name_of(&self, node: &Node) -> &str {
        match node {
            Node::Table(index) => &self.tables[*index].name,
            Node::View(name) => self.files.get(name).map_or("", |view| &view.name),
        }
    }

    fn reads(&self, node: &Node) -> Vec<Node> {
        let names: Vec<&str> = match node {
            Node::Table(index) => {
                self.tables[*index].matches.iter().flatten().map(|place| place.relation.as_str()).collect()
            }
            Node::View(name) => {
                let view = self.files.get(name);
                view.iter().flat_map(|view| &view.reads).map(|read| read.relation.as_str()).collect()
            }
        };
        names.into_iter().filter_map(|name| self.node(name)).collect()
    }

    /// Where `from` says that it reads `to`.
    fn place_of_read(&self, from: &Node, to: &Node) -> Place {
        match from {
            Node::Table(index) => self.tables[*index].place.clone(),
            Node::View(name) => {
                let to = self.name_of(to);
                let view = self.files.get(name);
                let reference = view.iter().flat_map(|view| &view.reads).find(|read| read.relation == to);
                reference.map(|reference| reference.place.clone()).unwrap_or_default()
            }
        }
    }
}

/// A search in depth, which meets each node after what it reads.
struct Search<'a> {
    relations: &'a Relations<'a>,
    state: BTreeMap<Node, Visit>,
    /// From where the search started to where it is.
    path: Vec<Node>,
    order: Vec<Node>,
    errors: Vec<Blame>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    Open,
    Done,
}

impl Search<'_> {
    fn visit(&mut self, node: &Node) {
        match self.state.get(node) {
            Some(Visit::Done) => return,
            Some(Visit::Open) => return self.report_circle(node),
            None => {}
        }
        self.state.insert(node.clone(), Visit::Open);
        self.path.push(node.clone());
        for read in self.relations.reads(node) {
            self.visit(&read);
        }
        self.path.pop();
        self.state.insert(node.clone(), Visit::Done);
        self.order.push(node.clone());
    }

    fn report_circle(&mut self, node: &Node) {
        let start = self.path.iter().position(|open| open == node).unwrap_or(0);
        let circle = &self.path[start..];
        let mut names: Vec<String> =
            circle.iter().map(|node| format!("`{}`", self.relations.name_of(node))).collect();
        names.extend(names.first().cloned());
        let next = circle.get(1).unwrap_or(node);
        let place = self.relations.place_of_read(node, next);
        let message = match circle.len() {
            1 => format!("{} reads itself", names[0]),
            _ => format!("these read each other in a circle: {}", names.join(" -> ")),
        };
        let error = SqlError::wrong(Code::Cycle, place, message);
        let error = error.with_hint("what a view reads must be computed before it");
        self.errors.push((self.relations.name_of(node).to_owned(), error));
    }
}
