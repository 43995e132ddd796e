//! The contract as an editor of JavaScript reads it: TypeScript's declarations, with the contract's prose.
//!
//! Names and types are those of the bindings that componentize-js makes: an error is thrown, with its value in
//! `payload`.

use std::fmt::Write;
use std::sync::LazyLock;

use pace_sandbox::CONTRACT_FILES;
use wit_parser::{
    Docs, Function, FunctionKind, Handle, Interface, InterfaceId, Resolve, SourceMap, Type, TypeDefKind,
    TypeId, TypeOwner, WorldItem,
};

/// The world that has all of the contract.
const WORLD: &str = "plugin";

/// The declarations of all interfaces of the contract.
pub(super) static DECLARATIONS: LazyLock<String> = LazyLock::new(|| {
    let contract = Contract::parse();
    let mut text =
        "// The contract. `pace plugin new` has made this of wit/, and no build reads it.\n".to_owned();
    for (id, interface) in contract.resolve.interfaces.iter() {
        contract.module(&mut text, id, interface);
    }
    text
});

struct Contract {
    resolve: Resolve,
    /// The interfaces that plugins export.
    exports: Vec<InterfaceId>,
}

impl Contract {
    fn parse() -> Contract {
        let mut sources = SourceMap::default();
        for (path, text) in CONTRACT_FILES {
            sources.push_str(path, *text);
        }
        let mut resolve = Resolve::default();
        let package = sources
            .parse()
            .map_err(|(_, error)| error)
            .expect("Pace is built of it");
        let package = resolve.push_group(package).expect("Pace is built of it");
        let world = resolve
            .select_world(&[package], Some(WORLD))
            .expect("the contract has it");
        let exports = resolve.worlds[world].exports.values();
        let exports = exports.filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            WorldItem::Function(_) | WorldItem::Type { .. } => None,
        });
        let exports = exports.collect();
        Contract { resolve, exports }
    }

    fn module(&self, text: &mut String, id: InterfaceId, interface: &Interface) {
        text.push('\n');
        prose(text, "", &interface.docs);
        line(text, &format!("declare module '{}' {{", self.specifier(id)));
        for (name, of) in &interface.types {
            self.definition(text, id, name, *of);
        }
        for function in interface.functions.values() {
            if function.kind == FunctionKind::Freestanding {
                prose(text, "  ", &function.docs);
                let name = camel(&function.name);
                line(
                    text,
                    &format!("  export function {name}{};", self.signature(function)),
                );
            }
        }
        line(text, "}");
    }

    /// The name by which a plugin imports an interface: `pace:plugin/log@0.1.0`.
    fn specifier(&self, id: InterfaceId) -> String {
        self.resolve.id_of(id).unwrap_or_default()
    }

    fn definition(&self, text: &mut String, interface: InterfaceId, name: &str, id: TypeId) {
        let of = &self.resolve.types[id];
        let name = pascal(name);
        prose(text, "  ", &of.docs);
        match &of.kind {
            TypeDefKind::Record(record) => {
                line(text, &format!("  export interface {name} {{"));
                for field in &record.fields {
                    prose(text, "    ", &field.docs);
                    let name = camel(&field.name);
                    line(text, &format!("    {name}: {};", self.typed(field.ty)));
                }
                line(text, "  }");
            }
            TypeDefKind::Variant(variant) => {
                line(text, &format!("  export type {name} ="));
                for case in &variant.cases {
                    prose(text, "    ", &case.docs);
                    let value = case.ty.map(|of| format!(", val: {}", self.typed(of)));
                    let value = value.unwrap_or_default();
                    line(text, &format!("    | {{ tag: '{}'{value} }}", case.name));
                }
                line(text, "    ;");
            }
            TypeDefKind::Enum(of) => {
                line(text, &format!("  export type {name} ="));
                for case in &of.cases {
                    prose(text, "    ", &case.docs);
                    line(text, &format!("    | '{}'", case.name));
                }
                line(text, "    ;");
            }
            TypeDefKind::Resource => {
                line(text, &format!("  export class {name} {{"));
                // A plugin makes its own objects as it likes, and gets those of Pace from functions.
                line(
                    text,
                    match self.exports.contains(&interface) {
                        true => "    constructor(...given: any[]);",
                        false => "    private constructor();",
                    },
                );
                for function in self.resolve.interfaces[interface].functions.values() {
                    self.member(text, id, function);
                }
                line(text, "  }");
            }
            _ => line(text, &format!("  export type {name} = {};", self.kind(id))),
        }
    }

    /// A function of a resource, if it is this one's.
    fn member(&self, text: &mut String, of: TypeId, function: &Function) {
        let before = match function.kind {
            FunctionKind::Method(resource) if resource == of => "",
            FunctionKind::Static(resource) if resource == of => "static ",
            _ => return,
        };
        prose(text, "    ", &function.docs);
        let name = camel(function.item_name());
        line(text, &format!("    {before}{name}{};", self.signature(function)));
    }

    /// Parameters and result. The error of a result is thrown, so it is none of the function's type.
    fn signature(&self, function: &Function) -> String {
        let own = usize::from(matches!(function.kind, FunctionKind::Method(_)));
        let parameters = function.params[own..]
            .iter()
            .map(|parameter| format!("{}: {}", camel(&parameter.name), self.typed(parameter.ty)));
        let parameters: Vec<String> = parameters.collect();
        let result = function.result.map_or("void".to_owned(), |of| self.typed(of));
        format!("({}): {result}", parameters.join(", "))
    }

    fn typed(&self, of: Type) -> String {
        let simple = match of {
            Type::Bool => "boolean",
            Type::U64 | Type::S64 => "bigint",
            Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::F32 | Type::F64 => {
                "number"
            }
            Type::Char | Type::String => "string",
            Type::ErrorContext => "unknown",
            Type::Id(id) => {
                let name = self.resolve.types[id].name.as_ref();
                return name.map_or_else(|| self.kind(id), |name| pascal(name));
            }
        };
        simple.to_owned()
    }

    /// A type that is written where it is used.
    fn kind(&self, id: TypeId) -> String {
        match &self.resolve.types[id].kind {
            TypeDefKind::List(Type::U8) => "Uint8Array".to_owned(),
            TypeDefKind::List(of) => format!("Array<{}>", self.typed(*of)),
            TypeDefKind::Option(of) => format!("{} | undefined", self.typed(*of)),
            TypeDefKind::Result(result) => result.ok.map_or("void".to_owned(), |of| self.typed(of)),
            TypeDefKind::Tuple(tuple) => {
                let types: Vec<String> = tuple.types.iter().map(|of| self.typed(*of)).collect();
                format!("[{}]", types.join(", "))
            }
            TypeDefKind::Handle(Handle::Own(of) | Handle::Borrow(of)) => self.typed(Type::Id(*of)),
            TypeDefKind::Type(Type::Id(of)) => self.elsewhere(*of),
            TypeDefKind::Type(of) => self.typed(*of),
            _ => "unknown".to_owned(),
        }
    }

    /// A type of another interface.
    fn elsewhere(&self, id: TypeId) -> String {
        let name = self.typed(Type::Id(id));
        match self.resolve.types[id].owner {
            TypeOwner::Interface(interface) => format!("import('{}').{name}", self.specifier(interface)),
            TypeOwner::World(_) | TypeOwner::None => name,
        }
    }
}

/// `set-header` as `setHeader`.
fn camel(name: &str) -> String {
    match name.split_once('-') {
        Some((first, others)) => format!("{first}{}", pascal(others)),
        None => name.to_owned(),
    }
}

/// `edit-error` as `EditError`.
fn pascal(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let (first, others) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + others
    });
    words.collect()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a text takes all that is written");
}

/// A comment with the contract's prose.
fn prose(text: &mut String, indent: &str, docs: &Docs) {
    let Some(prose) = &docs.contents else {
        return;
    };
    line(text, &format!("{indent}/**"));
    for prose in prose.trim_end().replace("*/", "*\\/").lines() {
        line(text, format!("{indent} * {prose}").trim_end());
    }
    line(text, &format!("{indent} */"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_contract_has_a_declaration() {
        let text = &*DECLARATIONS;
        assert!(!text.contains("unknown"), "{text}");
        let modules = CONTRACT_FILES.iter().filter(|(path, _)| *path != "worlds.wit");
        for (path, _) in modules.filter(|(path, _)| path.ends_with(".wit")) {
            let interface = path.trim_end_matches(".wit");
            let module = format!("declare module 'pace:plugin/{interface}@0.1.0' {{");
            assert!(text.contains(&module), "{module}");
        }
    }

    #[test]
    fn declarations_are_those_of_the_bindings() {
        let text = &*DECLARATIONS;
        for declared in [
            "  export function header(name: string): Uint8Array | undefined;\n",
            "    | { tag: 'respond', val: HttpResponse }\n",
            "  export type HttpResponse = import('pace:plugin/http@0.1.0').HttpResponse;\n",
            "    static open(name: string, limit: number, periodMs: bigint): Window;\n",
            "    hit(key: Key): Standing;\n",
            "    constructor(...given: any[]);\n",
        ] {
            assert!(text.contains(declared), "{declared}");
        }
    }
}
