//! What can be done to a repository, in the names that Amazon ECR gives.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html>

use std::fmt;
use std::str::FromStr;

/// Why a text is no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an action of this registry")]
pub struct ActionError;

/// Something that can be done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Ask whether a blob is there.
    BatchCheckLayerAvailability,
    /// Delete manifests, tags and blobs.
    BatchDeleteImage,
    /// Read manifests.
    BatchGetImage,
    /// End an upload, and so make a blob of it.
    CompleteLayerUpload,
    /// Make the repository.
    CreateRepository,
    /// See that the repository is there.
    DescribeRepositories,
    /// Read blobs.
    GetDownloadUrlForLayer,
    /// Begin an upload.
    InitiateLayerUpload,
    /// List the referrers of a manifest.
    ListImageReferrers,
    /// List tags.
    ListImages,
    /// Push manifests.
    PutImage,
    /// Send the bytes of an upload.
    UploadLayerPart,
}

impl Action {
    /// Every action, in the order of their names.
    pub const ALL: [Self; 12] = [
        Self::BatchCheckLayerAvailability,
        Self::BatchDeleteImage,
        Self::BatchGetImage,
        Self::CompleteLayerUpload,
        Self::CreateRepository,
        Self::DescribeRepositories,
        Self::GetDownloadUrlForLayer,
        Self::InitiateLayerUpload,
        Self::ListImageReferrers,
        Self::ListImages,
        Self::PutImage,
        Self::UploadLayerPart,
    ];

    /// The name as it stands in a policy.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BatchCheckLayerAvailability => "ecr:BatchCheckLayerAvailability",
            Self::BatchDeleteImage => "ecr:BatchDeleteImage",
            Self::BatchGetImage => "ecr:BatchGetImage",
            Self::CompleteLayerUpload => "ecr:CompleteLayerUpload",
            Self::CreateRepository => "ecr:CreateRepository",
            Self::DescribeRepositories => "ecr:DescribeRepositories",
            Self::GetDownloadUrlForLayer => "ecr:GetDownloadUrlForLayer",
            Self::InitiateLayerUpload => "ecr:InitiateLayerUpload",
            Self::ListImageReferrers => "ecr:ListImageReferrers",
            Self::ListImages => "ecr:ListImages",
            Self::PutImage => "ecr:PutImage",
            Self::UploadLayerPart => "ecr:UploadLayerPart",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = ActionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|action| action.as_str() == text)
            .ok_or(ActionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_as_it_is_written() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(action));
        }
        assert!(Action::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        assert_eq!("ecr:Nothing".parse::<Action>(), Err(ActionError));
    }
}
