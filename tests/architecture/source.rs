//! Which file of src/ uses which, read from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Attribute, Item, ItemUse, Meta, UseTree, Visibility};

/// The path of a module from the crate's root, which is the empty one.
pub type Module = Vec<String>;

/// Every file of src/ that the shipped program is made of.
pub struct Sources {
    /// For each file, the files whose items it names. Re-exports are followed to where an item is defined.
    pub uses: BTreeMap<Module, BTreeSet<Module>>,
    /// Lines of each file, those of its tests not counted.
    pub lines: BTreeMap<Module, usize>,
}

impl Sources {
    /// Reads src/.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = Vec::new();
        collect(&root, &mut files);
        let paths = files.iter().map(|file| file.strip_prefix(&root).unwrap().with_extension(""));
        let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
        let named: Vec<(String, String)> =
            paths.map(|path| path.to_str().unwrap().to_owned()).zip(texts).collect();
        let named: Vec<(&str, &str)> = named.iter().map(|(path, text)| (&**path, &**text)).collect();
        Self::of(&named)
    }

    /// Reads files given as path below src/, without `.rs`, and text.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let parsed: BTreeMap<Module, File> =
            files.iter().map(|(path, text)| (module(path), File::parse(text))).collect();
        let tests: BTreeSet<Module> = parsed
            .iter()
            .flat_map(|(module, file)| file.tests.iter().flat_map(|name| beside_or_below(module, name)))
            .collect();
        let kept = parsed.into_iter().filter(|(module, _)| !tests.contains(module));
        let crate_ = Crate { files: kept.collect() };
        let lines = crate_.files.iter().map(|(module, file)| (module.clone(), file.lines)).collect();
        let uses = crate_.files.keys().map(|module| (module.clone(), crate_.uses(module))).collect();
        Self { uses, lines }
    }

    /// What a file is called below src/, for a person.
    pub fn file(&self, module: &Module) -> String {
        if module.is_empty() { "lib".to_owned() } else { module.join("/") }
    }
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("src/main.rs") {
            files.push(path);
        }
    }
}

fn module(path: &str) -> Module {
    let mut parts: Module = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn child(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// Where the tests of a file may lie: below it, or beside it where `#[path]` names a file.
fn beside_or_below(module: &Module, name: &str) -> Vec<Module> {
    let folder = &module[..module.len().saturating_sub(1)];
    vec![child(module, name), child(&folder.to_vec(), name)]
}

/// What a file says of others.
#[derive(Default)]
struct File {
    /// Names that `use` brings in, with the path of each.
    imports: BTreeMap<String, Vec<String>>,
    /// Names that it passes on, with the path of each.
    exports: BTreeMap<String, Vec<String>>,
    /// Paths of two parts and more in its code.
    paths: Vec<Vec<String>>,
    /// Modules of tests that lie in files of their own.
    tests: Vec<String>,
    /// Those before its tests.
    lines: usize,
}

impl File {
    fn parse(text: &str) -> Self {
        let parsed = syn::parse_file(text).unwrap();
        let lines =
            text.find("#[cfg(test)]\nmod tests {").map_or(text, |tests| &text[..tests]).lines().count();
        let mut file = Self { lines, ..Self::default() };
        for item in &parsed.items {
            match item {
                Item::Mod(item) if is_test(&item.attrs) => file.tests.push(test_file(item)),
                item => file.visit_item(item),
            }
        }
        file
    }

    /// Finds paths among the tokens of a macro, which `syn` does not parse.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.paths.push(std::mem::take(&mut path));
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.scan(group.stream());
                    colons = 0;
                }
                _ => colons = 0,
            }
        }
        self.paths.push(path);
    }
}

/// The name of a module of tests, or of the file that `#[path]` gives it.
fn test_file(item: &syn::ItemMod) -> String {
    let path = item.attrs.iter().find_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        },
        _ => None,
    });
    path.map_or_else(|| item.ident.to_string(), |path| path.trim_end_matches(".rs").to_owned())
}

/// `#[cfg(test)]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

impl<'ast> Visit<'ast> for File {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if is_test(&item.attrs) {
            return;
        }
        let names = match item.vis {
            Visibility::Inherited => &mut self.imports,
            _ => &mut self.exports,
        };
        spread(&item.tree, &mut Vec::new(), names);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    /// `pub(super)` uses nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.scan(mac.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone());
        }
    }
}

/// Every name that a tree of `use` brings in.
fn spread(tree: &UseTree, prefix: &mut Vec<String>, names: &mut BTreeMap<String, Vec<String>>) {
    let mut add = |name: String, last: Option<String>| {
        names.insert(name, prefix.iter().cloned().chain(last).collect());
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            spread(&path.tree, prefix, names);
            prefix.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| spread(tree, prefix, names)),
        UseTree::Name(name) if name.ident == "self" => add(prefix.last().cloned().unwrap_or_default(), None),
        UseTree::Name(name) => add(name.ident.to_string(), Some(name.ident.to_string())),
        UseTree::Rename(rename) => add(rename.rename.to_string(), Some(rename.ident.to_string())),
        UseTree::Glob(_) => add(format!("{}::*", prefix.join("::")), None),
    }
}

/// Files that can be found by their modules.
struct Crate {
    files: BTreeMap<Module, File>,
}

impl Crate {
    fn uses(&self, module: &Module) -> BTreeSet<Module> {
        let file = &self.files[module];
        let imports = file.imports.values().filter_map(|path| self.absolute(module, path));
        // A module that is only named to reach its items is used where they are.
        let imported = imports.filter(|path| !self.is_module(path));
        let inline = file.paths.iter().filter_map(|path| match file.imports.get(path.first()?) {
            Some(import) => self.absolute(module, &[import, &path[1..]].concat()),
            None => self.absolute(module, path),
        });
        let inline = inline.filter(|path| !self.is_module(path));
        let used = imported.chain(inline).filter_map(|path| self.defining(&path, 0));
        used.filter(|used| used != module).collect()
    }

    /// Whether a path leads to a module and to no item of the same name that is passed on.
    fn is_module(&self, path: &[String]) -> bool {
        let is_item = path.split_last().is_some_and(|(name, parent)| {
            self.files.get(parent).is_some_and(|file| file.exports.contains_key(name))
        });
        self.files.contains_key(path) && !is_item
    }

    /// The path from the crate's root, of one that starts within the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let (_, parent) = module.split_last()?;
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(&parent.to_vec(), rest),
                    _ => Some([parent, rest].concat()),
                }
            }
            _ => self.files.contains_key(&child(module, first)).then(|| [module, path].concat()),
        }
    }

    /// The file that defines what `path` leads to. A name that a module passes on counts before a module of that name.
    fn defining(&self, path: &[String], depth: usize) -> Option<Module> {
        let (name, parent) = path.split_last()?;
        if let Some(target) = self.passed_on(parent, name).filter(|_| depth < 10) {
            return self.defining(&target, depth + 1);
        }
        let split = (0..=path.len()).rev().find(|split| self.files.contains_key(&path[..*split]))?;
        let (module, rest) = path.split_at(split);
        let passed_on = rest.first().and_then(|name| self.passed_on(module, name));
        match passed_on.filter(|_| depth < 10) {
            Some(target) => self.defining(&[&target, &rest[1..]].concat(), depth + 1),
            None => Some(module.to_vec()),
        }
    }

    /// Where a re-export of `name` in `module` leads.
    fn passed_on(&self, module: &[String], name: &str) -> Option<Vec<String>> {
        let target = self.files.get(module)?.exports.get(name)?;
        self.absolute(&module.to_vec(), target)
    }
}
