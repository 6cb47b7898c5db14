//! The API description: the list of routes with their permissions, as OpenAPI 3.1.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::{App, Route};

/// `GET /api/openapi.json`.
pub async fn description(State(app): State<App>) -> Json<Value> {
    Json(describe(&super::routes(app).1))
}

fn describe(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let parameters: Vec<Value> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
            .collect();
        let mut operation = json!({
            "summary": route.summary,
            "responses": {
                "200": {"description": "the answer"},
                "default": {"description": "why not", "content": {"application/problem+json": {
                    "schema": {"$ref": "#/components/schemas/Refusal"}}}},
            },
        });
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if let Some(permission) = route.permission {
            operation["security"] = json!([{"session": []}]);
            operation["x-permission"] = json!(permission);
        }
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Guanlan", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": super::routes::SESSION_COOKIE}},
            "schemas": {"Refusal": {"type": "object", "required": ["status", "code", "title", "detail"], "properties": {
                "status": {"type": "integer"}, "code": {"type": "string"}, "title": {"type": "string"},
                "detail": {"type": "string"}, "hint": {"type": "string"}, "query_id": {"type": "string"},
                "line": {"type": "integer"}, "column": {"type": "integer"}}}},
        },
    })
}
