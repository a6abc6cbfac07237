//! How deep the stack can get below each function that the system calls.
//!
//! A function that a pointer leads to may be called by the system; so may the entry point. From there on every call is
//! followed. The stack of imports and of foreign objects' methods is the system's and not counted. Trait objects are
//! used for formatting only: a call through a pointer in a function of `core::fmt` is taken to reach every formatting
//! function that a pointer leads to, and because a value in a value is formatted in turn, such a circle is counted
//! [`NESTING`] times. Any other circle is reported.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::code::{Callee, Graph};

/// How deep formatted values are nested in the driver: an error in an error in an error, and its fields.
pub const NESTING: u32 = 4;

/// The use of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// The largest frames.
    pub frames: Vec<Frame>,
    /// Functions that the system may call, deepest first.
    pub roots: Vec<Root>,
    /// Functions that call each other in a circle, formatting aside.
    pub circles: Vec<Vec<String>>,
    /// Functions with calls through pointers, formatting aside: methods of foreign objects.
    pub through_pointers: BTreeSet<String>,
}

/// A function's frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function.
    pub function: String,
    /// Its bytes.
    pub bytes: u32,
}

/// A function that the system may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// The function.
    pub function: String,
    /// Most bytes of stack from its caller's frame on.
    pub bytes: u32,
    /// The calls that lead to it.
    pub path: Vec<Frame>,
}

/// How many of the largest frames are reported.
const FRAMES: usize = 10;

fn formats(names: &[String]) -> bool {
    names.iter().any(|name| {
        name.contains("core::fmt")
            || name.contains("::fmt")
            || name.contains("write_str")
            || name.contains("write_char")
    })
}

impl Stack {
    /// Returns the bytes of the deepest root.
    #[must_use]
    pub fn deepest(&self) -> u32 {
        self.roots.first().map_or(0, |root| root.bytes)
    }
}

/// Measures.
#[must_use]
pub fn measure(graph: &Graph) -> Stack {
    let formatting: Vec<u32> =
        graph.functions.iter().filter(|(_, f)| f.is_pointed_at && formats(&f.names)).map(|(at, _)| *at).collect();
    let mut edges = BTreeMap::<u32, BTreeSet<u32>>::new();
    let mut through_pointers = BTreeSet::new();
    for (address, function) in &graph.functions {
        let targets = edges.entry(*address).or_default();
        for callee in &function.calls {
            match callee {
                Callee::Own(target) if graph.functions.contains_key(target) => _ = targets.insert(*target),
                Callee::Own(_) | Callee::Import(_) => {}
                Callee::Pointer if formats(&function.names) => targets.extend(&formatting),
                Callee::Pointer => _ = through_pointers.insert(function.name().to_owned()),
            }
        }
    }
    let components = Components::of(&edges);
    let mut walk = Walk { graph, edges: &edges, components: &components, known: BTreeMap::new() };
    let mut roots = Vec::new();
    for (address, function) in &graph.functions {
        if (!function.is_pointed_at || formats(&function.names)) && *address != graph.entry {
            continue;
        }
        let bytes = walk.depth(*address);
        roots.push(Root { function: function.name().to_owned(), bytes, path: walk.path(*address) });
    }
    roots.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.function.cmp(&b.function)));
    let mut frames: Vec<Frame> =
        graph.functions.values().map(|f| Frame { function: f.name().to_owned(), bytes: f.frame }).collect();
    frames.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.function.cmp(&b.function)));
    frames.truncate(FRAMES);
    let circles = components
        .circles(&edges)
        .filter(|circle| !circle.iter().all(|address| graph.functions.get(address).is_some_and(|f| formats(&f.names))));
    let circles = circles.map(|circle| circle.iter().map(|at| graph.name_of(*at).to_owned()).collect()).collect();
    Stack { frames, roots, circles, through_pointers }
}

/// Sets of functions that can reach each other (Tarjan).
struct Components {
    /// Of each function.
    of: BTreeMap<u32, usize>,
    members: Vec<Vec<u32>>,
}

impl Components {
    fn of(edges: &BTreeMap<u32, BTreeSet<u32>>) -> Self {
        let mut search = Search { edges, ..Search::default_with(edges) };
        for address in edges.keys() {
            if !search.index.contains_key(address) {
                search.visit(*address);
            }
        }
        Self { of: search.component, members: search.members }
    }

    /// Components that are circles: of several functions, or of one that calls itself.
    fn circles<'a>(&'a self, edges: &'a BTreeMap<u32, BTreeSet<u32>>) -> impl Iterator<Item = &'a Vec<u32>> {
        self.members.iter().filter(|members| {
            members.len() > 1 || members.first().is_some_and(|at| edges.get(at).is_some_and(|to| to.contains(at)))
        })
    }
}

struct Search<'a> {
    edges: &'a BTreeMap<u32, BTreeSet<u32>>,
    index: BTreeMap<u32, usize>,
    low: BTreeMap<u32, usize>,
    stack: Vec<u32>,
    component: BTreeMap<u32, usize>,
    members: Vec<Vec<u32>>,
}

impl<'a> Search<'a> {
    const fn default_with(edges: &'a BTreeMap<u32, BTreeSet<u32>>) -> Self {
        Self {
            edges,
            index: BTreeMap::new(),
            low: BTreeMap::new(),
            stack: Vec::new(),
            component: BTreeMap::new(),
            members: Vec::new(),
        }
    }

    fn visit(&mut self, at: u32) -> usize {
        let number = self.index.len();
        self.index.insert(at, number);
        self.stack.push(at);
        let mut low = number;
        for next in self.edges.get(&at).into_iter().flatten() {
            let reached = match self.index.get(next) {
                None => self.visit(*next),
                Some(index) if !self.component.contains_key(next) => *index,
                Some(_) => continue,
            };
            low = low.min(reached);
        }
        self.low.insert(at, low);
        if low == number {
            let place = self.stack.iter().rposition(|other| *other == at).unwrap_or(0);
            let members = self.stack.split_off(place);
            for member in &members {
                self.component.insert(*member, self.members.len());
            }
            self.members.push(members);
        }
        low
    }
}

/// Follows the calls.
struct Walk<'a> {
    graph: &'a Graph,
    edges: &'a BTreeMap<u32, BTreeSet<u32>>,
    components: &'a Components,
    /// Depth below the beginning of each component, and through which component it goes on.
    known: BTreeMap<usize, (u32, Option<u32>)>,
}

impl Walk<'_> {
    fn frame(&self, address: u32) -> u32 {
        self.graph.functions.get(&address).map_or(0, |function| function.frame)
    }

    /// Bytes of a component itself: a function's frame, or a circle's as often as it can go round.
    fn own(&self, component: usize) -> u32 {
        let members = &self.components.members[component];
        let sum = members.iter().map(|at| self.frame(*at)).sum::<u32>();
        if members.len() == 1 { sum } else { sum * NESTING }
    }

    fn depth(&mut self, address: u32) -> u32 {
        let Some(&component) = self.components.of.get(&address) else { return 0 };
        if let Some((depth, _)) = self.known.get(&component) {
            return *depth;
        }
        let mut deepest = (0, None);
        let leaving: BTreeSet<u32> = self.components.members[component]
            .iter()
            .flat_map(|at| self.edges.get(at).into_iter().flatten().copied())
            .filter(|to| self.components.of.get(to) != Some(&component))
            .collect();
        for next in leaving {
            let depth = self.depth(next);
            if depth > deepest.0 {
                deepest = (depth, Some(next));
            }
        }
        let depth = self.own(component) + deepest.0;
        self.known.insert(component, (depth, deepest.1));
        depth
    }

    fn path(&self, address: u32) -> Vec<Frame> {
        let mut path = Vec::new();
        let mut at = Some(address);
        while let Some(address) = at {
            let Some(component) = self.components.of.get(&address) else { break };
            let members = self.components.members[*component].len();
            let name = self.graph.name_of(address);
            let function = if members == 1 { name.to_owned() } else { format!("{name} and {} more", members - 1) };
            path.push(Frame { function, bytes: self.own(*component) });
            at = self.known.get(component).and_then(|(_, next)| *next);
        }
        path
    }
}
