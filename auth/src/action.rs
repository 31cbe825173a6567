//! What can be done, in the names that Amazon ECR gives, and a few of this registry's own.
//!
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html>

use std::fmt;
use std::str::FromStr;

/// Why a text is no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an action of this registry")]
pub struct ActionError;

macro_rules! actions {
    ($($name:ident = $text:literal;)*) => {
        /// Something that can be done to the registry or to a repository.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl Action {
            /// Every action, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name as it stands in a policy.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

actions! {
    BatchCheckLayerAvailability = "ecr:BatchCheckLayerAvailability";
    BatchDeleteImage = "ecr:BatchDeleteImage";
    BatchGetImage = "ecr:BatchGetImage";
    BatchGetRepositoryScanningConfiguration = "ecr:BatchGetRepositoryScanningConfiguration";
    BatchImportUpstreamImage = "ecr:BatchImportUpstreamImage";
    CompleteLayerUpload = "ecr:CompleteLayerUpload";
    CreatePullThroughCacheRule = "ecr:CreatePullThroughCacheRule";
    CreateRepository = "ecr:CreateRepository";
    CreateRepositoryCreationTemplate = "ecr:CreateRepositoryCreationTemplate";
    DeleteLifecyclePolicy = "ecr:DeleteLifecyclePolicy";
    DeletePullThroughCacheRule = "ecr:DeletePullThroughCacheRule";
    DeleteRegistryPolicy = "ecr:DeleteRegistryPolicy";
    DeleteRepository = "ecr:DeleteRepository";
    DeleteRepositoryCreationTemplate = "ecr:DeleteRepositoryCreationTemplate";
    DeleteRepositoryPolicy = "ecr:DeleteRepositoryPolicy";
    DeleteSigningConfiguration = "ecr:DeleteSigningConfiguration";
    DeregisterPullTimeUpdateExclusion = "ecr:DeregisterPullTimeUpdateExclusion";
    DescribeImageReplicationStatus = "ecr:DescribeImageReplicationStatus";
    DescribeImageScanFindings = "ecr:DescribeImageScanFindings";
    DescribeImageSigningStatus = "ecr:DescribeImageSigningStatus";
    DescribeImages = "ecr:DescribeImages";
    DescribePullThroughCacheRules = "ecr:DescribePullThroughCacheRules";
    DescribeRegistry = "ecr:DescribeRegistry";
    DescribeReplicationBackfillResults = "ecr:DescribeReplicationBackfillResults";
    DescribeRepositories = "ecr:DescribeRepositories";
    DescribeRepositoryCreationTemplates = "ecr:DescribeRepositoryCreationTemplates";
    GetAccountSetting = "ecr:GetAccountSetting";
    GetAuthorizationToken = "ecr:GetAuthorizationToken";
    GetDownloadUrlForLayer = "ecr:GetDownloadUrlForLayer";
    GetLifecyclePolicy = "ecr:GetLifecyclePolicy";
    GetLifecyclePolicyPreview = "ecr:GetLifecyclePolicyPreview";
    GetRegistryPolicy = "ecr:GetRegistryPolicy";
    GetRegistryScanningConfiguration = "ecr:GetRegistryScanningConfiguration";
    GetRepositoryPolicy = "ecr:GetRepositoryPolicy";
    GetSigningConfiguration = "ecr:GetSigningConfiguration";
    InitiateLayerUpload = "ecr:InitiateLayerUpload";
    ListImageReferrers = "ecr:ListImageReferrers";
    ListImages = "ecr:ListImages";
    ListPullTimeUpdateExclusions = "ecr:ListPullTimeUpdateExclusions";
    ListReplicationBackfills = "ecr:ListReplicationBackfills";
    ListTagsForResource = "ecr:ListTagsForResource";
    PutAccountSetting = "ecr:PutAccountSetting";
    PutImage = "ecr:PutImage";
    PutImageScanningConfiguration = "ecr:PutImageScanningConfiguration";
    PutImageTagMutability = "ecr:PutImageTagMutability";
    PutLifecyclePolicy = "ecr:PutLifecyclePolicy";
    PutRegistryPolicy = "ecr:PutRegistryPolicy";
    PutRegistryScanningConfiguration = "ecr:PutRegistryScanningConfiguration";
    PutReplicationConfiguration = "ecr:PutReplicationConfiguration";
    PutSigningConfiguration = "ecr:PutSigningConfiguration";
    RegisterPullTimeUpdateExclusion = "ecr:RegisterPullTimeUpdateExclusion";
    ReplicateImage = "ecr:ReplicateImage";
    SetRepositoryPolicy = "ecr:SetRepositoryPolicy";
    StartImageScan = "ecr:StartImageScan";
    StartLifecyclePolicyPreview = "ecr:StartLifecyclePolicyPreview";
    StartReplicationBackfill = "ecr:StartReplicationBackfill";
    StopReplicationBackfill = "ecr:StopReplicationBackfill";
    TagResource = "ecr:TagResource";
    UntagResource = "ecr:UntagResource";
    UpdateImageStorageClass = "ecr:UpdateImageStorageClass";
    UpdatePullThroughCacheRule = "ecr:UpdatePullThroughCacheRule";
    UpdateRepositoryCreationTemplate = "ecr:UpdateRepositoryCreationTemplate";
    UploadLayerPart = "ecr:UploadLayerPart";
    ValidatePullThroughCacheRule = "ecr:ValidatePullThroughCacheRule";
    Administer = "wharf:Administer";
    Lease = "wharf:Lease";
    ReadAudit = "wharf:ReadAudit";
    ReadEvents = "wharf:ReadEvents";
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
            .iter()
            .copied()
            .find(|action| action.as_str().eq_ignore_ascii_case(text))
            .ok_or(ActionError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_reads_back_as_it_is_written() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
            assert_eq!(action.as_str().to_lowercase().parse(), Ok(*action));
        }
        assert!(Action::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        assert_eq!("ecr:Nothing".parse::<Action>(), Err(ActionError));
    }
}
