//! Who may do what: one pure table. What is not in it is not permitted.

use serde::Serialize;

use crate::principal::{Principal, Role};

/// What can be permitted. The names are part of the HTTP API (`permissions` of a session).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    ReadDashboards,
    ReadMetrics,
    RunSql,
    ReadTables,
    ReadSources,
    ManageSources,
    ReadAlerts,
    ActOnAlerts,
    ReadRules,
    ReadAccess,
    ManageAccess,
    ReadSystem,
    ReadStatus,
}

impl Permission {
    pub const ALL: [Permission; 13] = [
        Permission::ReadDashboards,
        Permission::ReadMetrics,
        Permission::RunSql,
        Permission::ReadTables,
        Permission::ReadSources,
        Permission::ManageSources,
        Permission::ReadAlerts,
        Permission::ActOnAlerts,
        Permission::ReadRules,
        Permission::ReadAccess,
        Permission::ManageAccess,
        Permission::ReadSystem,
        Permission::ReadStatus,
    ];
}

/// Whether one of the principal's roles grants the permission.
pub fn decide(who: &Principal, what: Permission) -> bool {
    who.roles.iter().any(|role| grants(*role).contains(&what))
}

/// The zones whose tables the principal may read by SQL and in the catalogue, in the order of the flow.
pub fn zones(who: &Principal) -> Vec<&'static str> {
    const FLOW: [&str; 4] = ["raw", "clean", "mart", "system"];
    FLOW.into_iter().filter(|zone| who.roles.iter().any(|role| reads(*role).contains(zone))).collect()
}

fn grants(role: Role) -> &'static [Permission] {
    use Permission::*;
    match role {
        Role::Admin => &Permission::ALL,
        Role::Analyst => {
            &[ReadDashboards, ReadMetrics, RunSql, ReadTables, ReadSources, ReadAlerts, ReadRules, ReadStatus]
        }
        Role::Executive => &[ReadDashboards, ReadMetrics, ReadAlerts, ReadStatus],
        Role::Ops => &[
            ReadDashboards,
            ReadMetrics,
            ReadTables,
            ReadSources,
            ManageSources,
            ReadAlerts,
            ActOnAlerts,
            ReadRules,
            ReadSystem,
            ReadStatus,
        ],
    }
}

fn reads(role: Role) -> &'static [&'static str] {
    match role {
        Role::Admin | Role::Ops => &["raw", "clean", "mart", "system"],
        Role::Analyst => &["raw", "clean", "mart"],
        Role::Executive => &["mart"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(roles: &[Role]) -> Principal {
        Principal { user: "u".into(), display: "U".into(), roles: roles.to_vec(), locale: None }
    }

    #[test]
    fn nobody_without_a_role_may_do_anything() {
        assert!(Permission::ALL.iter().all(|p| !decide(&who(&[]), *p)));
        assert!(zones(&who(&[])).is_empty());
    }

    #[test]
    fn an_admin_and_the_system_may_do_everything() {
        for admin in [who(&[Role::Admin]), Principal::system(), Principal::cli()] {
            assert!(Permission::ALL.iter().all(|p| decide(&admin, *p)));
            assert_eq!(zones(&admin).len(), 4);
        }
    }

    #[test]
    fn each_role_is_refused_what_is_not_its_business() {
        use Permission::*;
        for (role, refused) in [
            (
                Role::Executive,
                vec![RunSql, ReadTables, ReadSources, ActOnAlerts, ReadRules, ReadSystem, ReadAccess],
            ),
            (Role::Analyst, vec![ManageSources, ActOnAlerts, ReadSystem, ReadAccess, ManageAccess]),
            (Role::Ops, vec![RunSql, ReadAccess, ManageAccess]),
        ] {
            for what in refused {
                assert!(!decide(&who(&[role]), what), "{role} {what:?}");
            }
            assert!(decide(&who(&[role]), ReadDashboards));
        }
        assert_eq!(zones(&who(&[Role::Executive])), ["mart"]);
        assert_eq!(zones(&who(&[Role::Analyst])), ["raw", "clean", "mart"]);
    }

    #[test]
    fn roles_add_up() {
        let both = who(&[Role::Executive, Role::Ops]);
        assert!(decide(&both, Permission::ActOnAlerts) && !decide(&both, Permission::RunSql));
        assert_eq!(zones(&both), ["raw", "clean", "mart", "system"]);
    }

    #[test]
    fn a_mistyped_role_is_corrected() {
        let error = "analist".parse::<Role>().unwrap_err();
        assert!(error.contains("did you mean analyst?"), "{error}");
        assert_eq!("ops".parse::<Role>().unwrap(), Role::Ops);
    }
}
