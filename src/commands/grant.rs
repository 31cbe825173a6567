//! `--allow` and `--on`: a policy for those who don't want to write one.

use serde_json::{Value, json};
use wharf_auth::scope::Permission;
use wharf_storage::oci::RepositoryName;

/// What a principal may do from the start.
#[derive(Debug, clap::Args)]
pub(super) struct Grant {
    /// What it may do: everything, push and pull, or pull only
    #[arg(long, value_enum, value_name = "WHAT")]
    allow: Option<Allowance>,
    /// Where: a repository, * for any characters
    #[arg(
        long,
        value_name = "PATTERN",
        default_value = "*",
        requires = "allow",
        value_parser = repositories
    )]
    on: Vec<String>,
}

/// A pattern that some repository's name is like.
fn repositories(pattern: &str) -> Result<String, String> {
    // A letter is the best that a placeholder can stand for: it goes beside anything.
    let example = pattern.replace(['*', '?'], "a");
    match example.parse::<RepositoryName>() {
        Ok(_) => Ok(pattern.to_owned()),
        Err(error) => Err(format!("no repository has such a name: {error}")),
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Allowance {
    /// Everything, in every repository and in the registry
    Admin,
    /// Push, pull and delete, and make repositories by it
    Write,
    /// Push and pull, and make repositories by it
    Push,
    /// Pull
    Pull,
}

impl Grant {
    /// The document of the policy.
    pub(super) fn document(&self) -> Option<String> {
        let permissions: &[Permission] = match self.allow? {
            Allowance::Admin => {
                return Some(wharf_auth::administration::ADMINISTRATOR.to_owned());
            }
            Allowance::Write => &[Permission::Pull, Permission::Push, Permission::Delete],
            Allowance::Push => &[Permission::Pull, Permission::Push],
            Allowance::Pull => &[Permission::Pull],
        };
        let mut actions: Vec<&str> = permissions
            .iter()
            .flat_map(|permission| permission.actions())
            .map(|action| action.as_str())
            .collect();
        // Who can read a repository can see that it is there, through either door.
        actions.extend([
            "ecr:DescribeImages",
            "ecr:DescribeRepositories",
            "ecr:GetAuthorizationToken",
        ]);
        actions.sort_unstable();
        let resource = |pattern: &String| match pattern.as_str() {
            "*" => "*".to_owned(),
            pattern => format!("repository/{pattern}"),
        };
        let resources: Vec<String> = self.on.iter().map(resource).collect();
        let statement = |actions: Value, resources: Value| json!({"Effect": "Allow", "Action": actions, "Resource": resources});
        let document = json!({
            "Version": "2012-10-17",
            "Statement": [
                statement(actions.into(), resources.into()),
                // It concerns no repository, so it needs the star.
                statement("ecr:GetAuthorizationToken".into(), "*".into()),
            ],
        });
        Some(document.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_no_name_is_like_is_refused() {
        for pattern in ["*", "team/*", "team/app", "*-cache", "a/?*/b", "a.*"] {
            assert_eq!(repositories(pattern).as_deref(), Ok(pattern));
        }
        for pattern in ["", "Bad Pattern!", "Team/*", "/*", "team//*", "-*", "a b"] {
            assert!(repositories(pattern).is_err(), "{pattern}");
        }
    }
}
