//! Types and functions as WIT writes them.

use std::borrow::Cow;

use wit_parser::{Function, Handle, Param, Resolve, Type, TypeDefKind, TypeId};

/// The type of a function, as `func(name: type) -> type`. Types that have a name are named.
pub(super) fn function(resolve: &Resolve, function: &Function) -> String {
    signature(resolve, function, Names::Kept)
}

/// The type of a function without the names that mean nothing to the component model. Two texts are equal if and only if
/// the types are.
pub(super) fn structure(resolve: &Resolve, function: &Function) -> String {
    signature(resolve, function, Names::Resolved)
}

/// The definition of a type. Types within it that have a name are named.
pub(super) fn definition(resolve: &Resolve, id: TypeId) -> String {
    kind(resolve, id, Names::Kept)
}

/// A type without the names that mean nothing to the component model.
pub(super) fn resolved(resolve: &Resolve, of: Type) -> String {
    typed(resolve, of, Names::Resolved)
}

/// The parameters of a function, without the resource of a method.
pub(super) fn parameters(function: &Function) -> &[Param] {
    match function.kind.resource().is_some() && function.params.first().is_some_and(is_self) {
        true => &function.params[1..],
        false => &function.params,
    }
}

fn is_self(parameter: &Param) -> bool {
    parameter.name == "self"
}

/// The way of writing a type that has a name: by the name, or by its definition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Kept,
    Resolved,
}

fn signature(resolve: &Resolve, function: &Function, names: Names) -> String {
    let parameters: Vec<String> = parameters(function)
        .iter()
        .map(|parameter| format!("{}: {}", parameter.name, typed(resolve, parameter.ty, names)))
        .collect();
    let result = match function.result {
        Some(result) => format!(" -> {}", typed(resolve, result, names)),
        None => String::new(),
    };
    let is_async = if function.kind.is_async() { "async " } else { "" };
    format!("{is_async}func({}){result}", parameters.join(", "))
}

fn typed(resolve: &Resolve, of: Type, names: Names) -> String {
    let simple = match of {
        Type::Bool => "bool",
        Type::U8 => "u8",
        Type::U16 => "u16",
        Type::U32 => "u32",
        Type::U64 => "u64",
        Type::S8 => "s8",
        Type::S16 => "s16",
        Type::S32 => "s32",
        Type::S64 => "s64",
        Type::F32 => "f32",
        Type::F64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::ErrorContext => "error-context",
        Type::Id(id) => {
            return match (&resolve.types[id].name, names) {
                (Some(name), Names::Kept) => name.clone(),
                _ => kind(resolve, id, names),
            };
        }
    };
    simple.to_owned()
}

fn kind(resolve: &Resolve, id: TypeId, names: Names) -> String {
    let typed = |of: Type| typed(resolve, of, names);
    let or_none = |of: Option<Type>| of.map_or_else(|| "_".to_owned(), typed);
    let in_brackets = |word: &str, of: &Option<Type>| match of {
        Some(of) => format!("{word}<{}>", typed(*of)),
        None => word.to_owned(),
    };
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => braces(
            "record",
            record
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.name, typed(field.ty)).into()),
        ),
        TypeDefKind::Variant(variant) => braces(
            "variant",
            variant.cases.iter().map(|case| match case.ty {
                Some(of) => format!("{}({})", case.name, typed(of)).into(),
                None => Cow::Borrowed(&*case.name),
            }),
        ),
        TypeDefKind::Enum(cases) => braces("enum", cases.cases.iter().map(|case| (&*case.name).into())),
        TypeDefKind::Flags(flags) => braces("flags", flags.flags.iter().map(|flag| (&*flag.name).into())),
        TypeDefKind::Tuple(tuple) => {
            let types: Vec<String> = tuple.types.iter().map(|of| typed(*of)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Option(of) => format!("option<{}>", typed(*of)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", or_none(result.ok), or_none(result.err)),
        TypeDefKind::List(of) => format!("list<{}>", typed(*of)),
        TypeDefKind::FixedLengthList(of, length) => format!("list<{}, {length}>", typed(*of)),
        TypeDefKind::Map(key, value) => format!("map<{}, {}>", typed(*key), typed(*value)),
        TypeDefKind::Future(of) => in_brackets("future", of),
        TypeDefKind::Stream(of) => in_brackets("stream", of),
        TypeDefKind::Handle(Handle::Own(resource)) => resource_name(resolve, *resource).to_owned(),
        TypeDefKind::Handle(Handle::Borrow(resource)) => {
            format!("borrow<{}>", resource_name(resolve, *resource))
        }
        TypeDefKind::Resource => resource_name(resolve, id).to_owned(),
        TypeDefKind::Type(of) => typed(*of),
        TypeDefKind::Unknown => "unknown".to_owned(),
    }
}

fn braces<'a>(word: &str, parts: impl Iterator<Item = Cow<'a, str>>) -> String {
    format!("{word} {{ {} }}", parts.collect::<Vec<_>>().join(", "))
}

/// The name of a resource, which identifies it within its interface.
fn resource_name(resolve: &Resolve, id: TypeId) -> &str {
    resolve.types[id].name.as_deref().unwrap_or("resource")
}
