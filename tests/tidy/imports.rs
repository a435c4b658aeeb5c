//! Imports between files, and cycles among the files of a room.
//!
//! Names are followed through re-exports to the file that defines them. A re-export alone is not an import:
//! a facade may re-export items of its children.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::{is_word, leading_word, names, split_group, without_tests};

type Module = Vec<String>;

/// One `use`, split: `use a::{b as c, d::*}` is two of them.
struct Use {
    path: Vec<String>,
    /// The imported name, or `*`.
    name: String,
    is_public: bool,
}

struct File {
    module: Module,
    /// Without tests, and without `use`.
    code: String,
    uses: Vec<Use>,
    defined: BTreeSet<String>,
}

/// All files of the crate that are not tests.
pub(crate) struct Tree {
    files: Vec<File>,
    by_module: BTreeMap<Module, usize>,
}

impl Tree {
    /// Makes a tree from the path of each file below `src`, with slashes, and its code.
    pub(crate) fn new(sources: &[(String, String)]) -> Self {
        let mut tests = BTreeSet::new();
        let mut files = vec![];
        for (path, code) in sources {
            let module = module_of(path);
            let (code, test_modules) = without_tests(code);
            tests.extend(test_modules.into_iter().map(|name| [module.clone(), vec![name]].concat()));
            let (code, uses) = take_uses(&code);
            files.push(File { defined: defined(&code), module, code, uses });
        }
        // Test files that are included by `#[path]` are recognised by their name.
        let is_test = |module: &Module| module.last().is_some_and(|name| name.ends_with("_tests"));
        files
            .retain(|file| !is_test(&file.module) && !tests.iter().any(|test| file.module.starts_with(test)));
        let by_module = files.iter().enumerate().map(|(at, file)| (file.module.clone(), at)).collect();
        Self { files, by_module }
    }

    /// Returns the groups of files of one room that import each other in cycles.
    pub(crate) fn cycles(&self) -> Vec<Vec<String>> {
        let edges: Vec<BTreeSet<usize>> = (0..self.files.len()).map(|at| self.imports(at)).collect();
        let reached: Vec<BTreeSet<usize>> = (0..edges.len()).map(|at| reachable(&edges, at)).collect();
        let mut seen = BTreeSet::new();
        let mut cycles = vec![];
        for at in 0..edges.len() {
            let group: Vec<usize> =
                reached[at].iter().copied().filter(|&other| reached[other].contains(&at)).collect();
            if group.len() > 1 && group.iter().all(|&file| seen.insert(file)) {
                cycles.push(group.iter().map(|&file| self.files[file].module.join("::")).collect());
            }
        }
        cycles
    }

    /// Returns the other files of the same room that a file imports.
    fn imports(&self, at: usize) -> BTreeSet<usize> {
        let file = &self.files[at];
        let used = |one: &&Use| !one.is_public || names(&file.code, &one.name);
        let mut paths: Vec<Vec<String>> = file.uses.iter().filter(used).map(|one| one.path.clone()).collect();
        paths.extend(self.written_paths(file));
        let room = file.module.first();
        let targets = paths.iter().filter_map(|path| self.find(&file.module, path, 0));
        targets.filter(|&target| target != at && self.files[target].module.first() == room).collect()
    }

    /// Returns the paths in the code of a file that begin with a keyword or with one of its child modules.
    fn written_paths(&self, file: &File) -> Vec<Vec<String>> {
        let mut paths = vec![];
        for (at, _) in file.code.match_indices("::") {
            let before = &file.code[..at];
            let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
            let head = &before[start..];
            let child = [file.module.clone(), vec![head.to_owned()]].concat();
            let is_head = matches!(head, "crate" | "self" | "super") || self.by_module.contains_key(&child);
            if is_head && !before[..start].ends_with("::") {
                paths.push(chain(&file.code[start..]));
            }
        }
        paths
    }

    /// Returns the file that defines the item `path` in `module`; `None` if it is not in this crate.
    fn find(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let (head, rest) = path.split_first()?;
        match head.as_str() {
            "crate" => self.walk(&[], rest, depth),
            "self" => self.walk(module, rest, depth),
            "super" => {
                let above = &module[..module.len().saturating_sub(1)];
                let is_super = rest.first().is_some_and(|next| next == "super");
                if is_super { self.find(above, rest, depth) } else { self.walk(above, rest, depth) }
            }
            _ => self.walk_known(module, path, depth),
        }
    }

    /// Like `walk_known`; unknown items (macros) are in the file where the path ends.
    fn walk(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        self.walk_known(module, path, depth).or_else(|| self.by_module.get(module).copied())
    }

    fn walk_known(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let here = *self.by_module.get(module)?;
        let Some((head, rest)) = path.split_first() else { return Some(here) };
        if depth > 16 {
            return None;
        }
        let file = &self.files[here];
        let child = [module, std::slice::from_ref(head)].concat();
        if rest.is_empty() && file.defined.contains(head) {
            return Some(here);
        }
        if self.by_module.contains_key(&child) {
            return self.walk(&child, rest, depth);
        }
        if file.defined.contains(head) {
            return Some(here);
        }
        let follow = |one: &Use| {
            let path = [&one.path[..], rest].concat();
            // `use x::y` of another crate does not resolve here.
            (one.path.first() != Some(head)).then(|| self.find(module, &path, depth + 1)).flatten()
        };
        if let Some(found) = file.uses.iter().filter(|one| one.name == *head).find_map(follow) {
            return Some(found);
        }
        let globs = file.uses.iter().filter(|one| one.name == "*");
        globs.filter_map(|one| self.find(module, &one.path, depth + 1)).find_map(|target| {
            let other = &self.files[target].module;
            (other != module).then(|| self.walk_known(other, path, depth + 1)).flatten()
        })
    }
}

/// `store/gc.rs` is `store::gc`, `store/mod.rs` is `store`, and `lib.rs` is the crate.
fn module_of(path: &str) -> Module {
    let words = path.trim_end_matches(".rs").split('/').filter(|word| !matches!(*word, "mod" | "lib"));
    words.map(str::to_owned).collect()
}

/// Returns `from` and all files that can be reached from it.
fn reachable(edges: &[BTreeSet<usize>], from: usize) -> BTreeSet<usize> {
    let (mut reached, mut open) = (BTreeSet::from([from]), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(edges[at].iter().copied().filter(|&next| reached.insert(next)));
    }
    reached
}

/// Returns the words of a path up to its end.
fn chain(code: &str) -> Vec<String> {
    let (mut words, mut rest) = (vec![], code);
    loop {
        let word = leading_word(rest);
        if word.is_empty() {
            return words;
        }
        words.push(word.to_owned());
        match rest[word.len()..].strip_prefix("::") {
            Some(after) => rest = after,
            None => return words,
        }
    }
}

/// Returns the names of the items that a file defines.
fn defined(code: &str) -> BTreeSet<String> {
    let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules!"];
    let mut names = BTreeSet::new();
    for kind in kinds {
        for (at, _) in code.match_indices(kind) {
            let after = &code[at + kind.len()..];
            if !code[..at].ends_with(is_word) && after.starts_with(' ') {
                names.insert(leading_word(after.trim_start()).to_owned());
            }
        }
    }
    names
}

/// Returns the code without its `use`s, and these.
fn take_uses(code: &str) -> (String, Vec<Use>) {
    let (mut left, mut uses, mut rest) = (String::new(), vec![], code);
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rfind('\n').map_or(0, |at| at + 1);
        let before = rest[line..at].trim();
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        let is_use =
            before.is_empty() || before == "pub" || (before.starts_with("pub(") && before.ends_with(')'));
        if is_use {
            left.push_str(&rest[..line]);
            let of_tree = |(path, name)| Use { path, name, is_public: !before.is_empty() };
            uses.extend(leaves(&rest[at + "use ".len()..end]).into_iter().map(of_tree));
            rest = &rest[end..];
        } else {
            let after = at + "use ".len();
            left.push_str(&rest[..after]);
            rest = &rest[after..];
        }
    }
    left.push_str(rest);
    (left, uses)
}

/// Returns the paths of a tree of `use`, each with the imported name.
fn leaves(tree: &str) -> Vec<(Vec<String>, String)> {
    let tree = tree.trim();
    if let Some(group) = tree.strip_prefix('{') {
        return split_group(group).iter().flat_map(|item| leaves(item)).collect();
    }
    if tree.starts_with('*') {
        return vec![(vec![], "*".to_owned())];
    }
    let word = leading_word(tree).to_owned();
    if word.is_empty() {
        return vec![];
    }
    let rest = &tree[word.len()..];
    if let Some(below) = rest.strip_prefix("::") {
        let join = |(path, name): (Vec<String>, String)| {
            if path == ["self"] {
                let name = if name == "self" { word.clone() } else { name };
                return (vec![word.clone()], name);
            }
            ([vec![word.clone()], path].concat(), name)
        };
        return leaves(below).into_iter().map(join).collect();
    }
    let name = rest.trim().strip_prefix("as ").map_or(word.as_str(), str::trim).to_owned();
    vec![(vec![word], name)]
}

#[test]
fn cycles_are_found_through_re_exports() {
    let tree = |sources: &[(&str, &str)]| {
        let owned: Vec<_> = [&[("lib.rs", "")], sources]
            .concat()
            .iter()
            .map(|(path, code)| ((*path).to_owned(), (*code).to_owned()))
            .collect();
        Tree::new(&owned).cycles()
    };
    let facade =
        ("a/mod.rs", "mod b; mod c;\npub use b::B;\npub(crate) use self::c::{C, D as E};\npub struct A;\n");
    let none =
        [facade, ("a/b.rs", "use super::A;\npub struct B;\n"), ("a/c.rs", "pub struct C;\npub struct D;\n")];
    assert_eq!(tree(&none), Vec::<Vec<String>>::new());
    let b = ("a/b.rs", "use crate::a::{A, E};\npub struct B;\n");
    let c = ("a/c.rs", "pub struct C(super::B);\npub struct D;\n");
    assert_eq!(tree(&[facade, b, c]), [["a::b", "a::c"]]);
    let test =
        ("a/c.rs", "pub struct C;\npub struct D;\n#[cfg(test)]\nmod tests {\n    use crate::a::B;\n}\n");
    assert_eq!(tree(&[facade, b, test]), Vec::<Vec<String>>::new());
    // A facade that uses an item that it re-exports imports it.
    let user = ("a/mod.rs", "mod b;\npub use b::B;\npub struct A(B);\n");
    assert_eq!(tree(&[user, ("a/b.rs", "use super::A;\npub struct B;\n")]), [["a", "a::b"]]);
    // Imports of other rooms are checked by the floor plan.
    let other =
        [("a.rs", "use crate::b::B;\npub struct A;\n"), ("b.rs", "use crate::a::A;\npub struct B;\n")];
    assert_eq!(tree(&other), Vec::<Vec<String>>::new());
}
