//! The description of the API, as GET /v1/openapi.json gives it: what the operations say of themselves, and what goes for all of them.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};

use super::refusal::{Mistake, ProblemDetails};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Patchbay admin API",
        description = "Tenants upload bots and bind numbers to them. Every operation but this document takes a token: \
            `Authorization: Bearer patchbay_...`, of the scope that it names under `security`: `any`, `read`, `deploy` or `operator`, each \
            including those before it. A tenant that is not the token's does not exist for it. Times are milliseconds since 1970, UTC."
    ),
    components(schemas(ProblemDetails, Mistake))
)]
struct Common;

pub fn document() -> utoipa::openapi::OpenApi {
    let (_, operations) = super::operations().split_for_parts();
    let mut document = Common::openapi();
    document.merge(operations);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("patchbay_...").build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(bearer));
    for (path, item) in &mut document.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            complete(path, operation);
        }
    }
    document
}

/// Adds the names in its path, and that any operation may be refused.
fn complete(path: &str, operation: &mut Operation) {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let named = names.map(|name| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(text))
            .build()
    });
    let parameters = operation.parameters.get_or_insert_default();
    parameters.splice(0..0, named);
    let problem = ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("ProblemDetails")))).build();
    let refusal = ResponseBuilder::new()
        .description("Refused: RFC 9457 problem details that say what to do")
        .content("application/problem+json", problem);
    operation.responses.responses.insert("default".to_owned(), refusal.build().into());
}
