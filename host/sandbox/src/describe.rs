//! Types of the component model as WIT writes them, for messages.

use std::fmt::Write;

use wasmtime::component::types::{ComponentFunc, Type};

/// The type of a function, as `func(name: type) -> type`.
pub(super) fn function(function: &ComponentFunc) -> String {
    let parameters: Vec<String> = function
        .params()
        .map(|(name, kind)| format!("{name}: {}", type_name(&kind)))
        .collect();
    let mut text = format!("func({})", parameters.join(", "));
    for result in function.results() {
        let _ = write!(text, " -> {}", type_name(&result));
    }
    text
}

fn type_name(kind: &Type) -> String {
    match kind {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Float32 => "f32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", type_name(&list.ty())),
        Type::Option(option) => format!("option<{}>", type_name(&option.ty())),
        Type::Result(result) => {
            let side = |kind: Option<Type>| kind.map_or_else(|| "_".to_owned(), |kind| type_name(&kind));
            format!("result<{}, {}>", side(result.ok()), side(result.err()))
        }
        Type::Tuple(tuple) => {
            format!(
                "tuple<{}>",
                tuple
                    .types()
                    .map(|kind| type_name(&kind))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Type::Record(record) => {
            let fields: Vec<String> = record
                .fields()
                .map(|field| format!("{}: {}", field.name, type_name(&field.ty)))
                .collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        Type::Variant(variant) => {
            let cases: Vec<String> = variant
                .cases()
                .map(|case| match case.ty {
                    Some(kind) => format!("{}({})", case.name, type_name(&kind)),
                    None => case.name.to_owned(),
                })
                .collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        Type::Enum(cases) => format!("enum {{ {} }}", cases.names().collect::<Vec<_>>().join(", ")),
        Type::Flags(flags) => format!("flags {{ {} }}", flags.names().collect::<Vec<_>>().join(", ")),
        Type::Own(_) => "a resource".to_owned(),
        Type::Borrow(_) => "a borrowed resource".to_owned(),
        other => format!("{other:?}"),
    }
}
