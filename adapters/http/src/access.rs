//! Who may read: extractors that give proof, or answer why not.

use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::request::Parts;
use gosight_application::access::Access;
use gosight_application::surface::{FailureCode, FailureDetail};
use gosight_domain::SessionId;
use gosight_domain::key::{Admin, Grant, Read, Scoped};

use crate::error::ApiError;
use crate::key;

/// Proof that the key in the head of the request may read.
#[derive(Debug)]
pub(crate) struct Reader(pub Scoped<Read>);

/// Proof that the key in the head of the request may see what is of all projects together.
#[derive(Debug)]
pub(crate) struct Operator(pub Scoped<Admin>);

/// Whatever the key in the head of the request allows.
#[derive(Debug)]
pub(crate) struct KeyGrant(pub Grant);

impl<S> FromRequestParts<S> for Reader
where
    S: Send + Sync,
    Access: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = key::in_head(&parts.headers);
        Ok(Self(Access::from_ref(state).require::<Read>(key.as_ref()).await?))
    }
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Access: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = key::in_head(&parts.headers);
        Ok(Self(Access::from_ref(state).require::<Admin>(key.as_ref()).await?))
    }
}

impl<S> FromRequestParts<S> for KeyGrant
where
    S: Send + Sync,
    Access: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = key::in_head(&parts.headers);
        Ok(Self(Access::from_ref(state).grant(key.as_ref()).await?))
    }
}

/// The session that a path names.
#[derive(Debug)]
pub(crate) struct SessionInPath(pub SessionId);

impl<S: Send + Sync> FromRequestParts<S> for SessionInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(FailureCode::NotFound, "there is no such session"))?;
        SessionId::new(text).map(Self).map_err(|violation| {
            let detail = FailureDetail::of(None, "session_id", &violation);
            ApiError::new(FailureCode::InvalidParameter, detail.message.clone()).with_details(vec![detail])
        })
    }
}
