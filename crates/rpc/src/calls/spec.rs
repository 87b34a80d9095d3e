//! What a worker may offer.

use super::{config::Categories, schema::Schema};
use crate::native::queue_of;
use compact_str::CompactString;
use trunkline_model::{Caller, Error, ErrorCode, MethodSpec, Principal, WorkerSpec, limits};

/// Checks what a worker wants to offer.
///
/// # Errors
/// `-32602` naming the member, `-32006` for names of Trunkline's own.
pub(super) fn check(
    caller: &Caller,
    spec: &WorkerSpec,
    categories: &Categories,
) -> Result<(), Error> {
    if spec.handler.is_reserved() && caller.principal != Principal::System {
        return Err(Error::new(
            ErrorCode::Forbidden,
            "handler names with a leading _ are Trunkline's own",
        ));
    }
    if spec.methods.is_empty() {
        return Err(invalid("methods", "a worker offers at least one method"));
    }
    if !(1..=limits::CREDIT_MAX).contains(&spec.concurrency) {
        let message = format!("concurrency must be 1 to {}", limits::CREDIT_MAX);
        return Err(invalid("concurrency", message));
    }
    if categories.number(&spec.category).is_none() {
        let message = format!(
            "no category {:?} is configured; there are: {}",
            spec.category,
            categories.names()
        );
        return Err(invalid("category", message));
    }
    for (index, method) in spec.methods.iter().enumerate() {
        check_method(method, &spec.methods[..index])?;
    }
    Ok(())
}

fn check_method(method: &MethodSpec, before: &[MethodSpec]) -> Result<(), Error> {
    let name = &method.name;
    if queue_of(name).is_none() {
        return Err(invalid("methods", "a method's name is empty or too long"));
    }
    if name.starts_with("rpc.") {
        let message = format!("{name:?}: method names with a leading rpc. are Trunkline's own");
        return Err(invalid("methods", message));
    }
    if before.iter().any(|other| other.name == *name) {
        return Err(invalid("methods", format!("{name:?} is listed twice")));
    }
    if let Some(schema) = &method.params_schema {
        Schema::compile(name, schema)?;
    }
    Ok(())
}

fn invalid(member: &str, message: impl Into<CompactString>) -> Error {
    Error::invalid_params(message.into().into_string()).with("member", member)
}
