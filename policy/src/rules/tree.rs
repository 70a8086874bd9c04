//! Who may read and change which area of an environment's tree.

use super::{permit, refuse, unfit_target};
use crate::action::TreeChange;
use crate::context::{Context, InTheWay};
use crate::decision::Decision;
use crate::environment::{Area, ConnectionMode, Environment};
use crate::name::SiteName;
use crate::path::SitePath;
use crate::principal::Role;
use crate::target::Target;

pub(super) fn read(role: Role, target: &Target, context: &Context) -> Decision {
    let Target::Tree(site, environment, area, path) = target else {
        return unfit_target("read");
    };
    if path.names_git_directory() {
        return git_directory(site, path);
    }
    let allowed = match area {
        Area::Root | Area::Code => permit("member-reads-code"),
        Area::Files | Area::Logs | Area::Tmp | Area::Backups => match content(role, environment) {
            None => permit("member-reads-content"),
            Some(why) => refuse(
                why,
                format!(
                    "Reading {area} of {site}'s {} environment is not for the role {role}.",
                    environment.title()
                ),
                content_hint(why),
            ),
        },
    };
    match context.in_the_way {
        Some(met) if allowed.is_permit() => stands_in_the_way(met, *area, path),
        Some(_) | None => allowed,
    }
}

pub(super) fn change(
    role: Role,
    change: TreeChange,
    target: &Target,
    context: &Context,
) -> Decision {
    let Target::Tree(site, environment, area, path) = target else {
        return unfit_target(change.as_str());
    };
    if path.names_git_directory() {
        return git_directory(site, path);
    }
    let place = Place {
        site,
        environment,
        area: *area,
        path,
        change,
    };
    let allowed = if path.is_empty() && *area != Area::Root {
        area_itself(role, &place, context)
    } else {
        inside(role, &place, context)
    };
    let Some(met) = context.in_the_way.filter(|_| allowed.is_permit()) else {
        return allowed;
    };
    match (change, met) {
        (TreeChange::Symlink, InTheWay::WayOut) => makes_way_out(*area, path),
        (TreeChange::RenameTo | TreeChange::HardLink, InTheWay::WayOut) => {
            brings_way_out(*area, path)
        }
        (TreeChange::RenameTo | TreeChange::HardLink, InTheWay::Special) => {
            brings_special(*area, path)
        }
        (_, met) => stands_in_the_way(met, *area, path),
    }
}

struct Place<'a> {
    site: &'a SiteName,
    environment: &'a Environment,
    area: Area,
    path: &'a SitePath,
    change: TreeChange,
}

/// The areas themselves stay; only setting attributes on one is let through to nothing, since
/// clients do it after each upload of a folder.
fn area_itself(role: Role, place: &Place<'_>, context: &Context) -> Decision {
    match place.change {
        TreeChange::SetAttributes | TreeChange::MakeDirectory => inside(role, place, context),
        TreeChange::Write
        | TreeChange::Remove
        | TreeChange::RemoveDirectory
        | TreeChange::RenameFrom
        | TreeChange::RenameTo
        | TreeChange::Symlink
        | TreeChange::HardLink => refuse(
            "areas-stay",
            format!(
                "/{} of {}'s {} environment is a fixed part of the tree; {} was refused.",
                place.area,
                place.site,
                place.environment.title(),
                place.change.as_str()
            ),
            "Work inside it.",
        ),
    }
}

fn inside(role: Role, place: &Place<'_>, context: &Context) -> Decision {
    let Place {
        site,
        environment,
        area,
        path,
        ..
    } = place;
    match area {
        Area::Root => refuse(
            "root-is-fixed",
            format!(
                "/ of {site}'s {} environment holds code, files, logs, tmp and backups only; \
                 {} was refused.",
                environment.title(),
                place.change.as_str()
            ),
            "Work in /code, /files or /tmp.",
        ),
        Area::Code => code(role, place, context),
        Area::Files | Area::Tmp => match content(role, environment) {
            None if context.release_replaced => refuse(
                "content-replaced",
                format!(
                    "The files of {site}.{environment} were replaced by others while /{area}/{path} \
                     was open, so nothing more is written to the old ones."
                ),
                "Open the file again.",
            ),
            None => permit("member-writes-content"),
            Some(why) => refuse(
                why,
                format!(
                    "Writing /{area}/{path} of {site}'s {} environment is not for the role {role}.",
                    environment.title()
                ),
                content_hint(why),
            ),
        },
        Area::Logs => refuse(
            "logs-are-read-only",
            format!(
                "/logs of {site}'s {} environment is read-only; /logs/{path} was not changed.",
                environment.title()
            ),
            "Copy what you need to your machine or to /tmp.",
        ),
        Area::Backups => refuse(
            "backups-are-read-only",
            format!(
                "/backups of {site}'s {} environment is read-only; /backups/{path} was not changed.",
                environment.title()
            ),
            "Download what you need from there.",
        ),
    }
}

fn code(role: Role, place: &Place<'_>, context: &Context) -> Decision {
    let Place {
        site,
        environment,
        path,
        ..
    } = place;
    match environment {
        Environment::Test | Environment::Live => {
            let from = if matches!(environment, Environment::Live) {
                format!(
                    "Change it in Dev, then deploy: env:deploy {site}.test and env:deploy {site}.live."
                )
            } else {
                format!("Change it in Dev, then deploy: env:deploy {site}.test.")
            };
            refuse(
                "code-goes-up-by-deploy",
                format!(
                    "Code of {site}'s {} environment is read-only; /code/{path} was not changed.",
                    environment.title()
                ),
                from,
            )
        }
        Environment::Dev | Environment::Multidev(_) => {
            if role < Role::Developer {
                return refuse(
                    "viewer-reads-only",
                    format!(
                        "The role viewer reads code only; /code/{path} of {site}.{environment} was \
                         not changed."
                    ),
                    "Ask one of the site's administrators for the role developer.",
                );
            }
            match &context.mode {
                Some(_) if context.release_replaced => refuse(
                    "release-replaced",
                    format!(
                        "The code of {site}.{environment} was replaced by a newer release while \
                         /code/{path} was open, so nothing more is written to the old one."
                    ),
                    "Open the file again.",
                ),
                Some(facts) if facts.mode == ConnectionMode::Sftp => permit("sftp-mode-code"),
                Some(facts) => refuse(
                    "git-mode-code-is-read-only",
                    format!(
                        "{site}.{environment} is in Git mode (set by {} at {}), so its code is \
                         read-only over SFTP; /code/{path} was not changed.",
                        facts.set_by, facts.set_at
                    ),
                    format!(
                        "Push your change with git, or switch: connection:set {site}.{environment} sftp."
                    ),
                ),
                None => refuse(
                    "mode-unknown",
                    format!("The connection mode of {site}.{environment} is not known."),
                    "Try again; if it stays so, show the incident id to the server's administrator.",
                ),
            }
        }
    }
}

/// Returns the rule that keeps a role from an environment's content, if one does.
fn content(role: Role, environment: &Environment) -> Option<&'static str> {
    match (role, environment) {
        (Role::Viewer, _) => Some("viewer-reads-code-only"),
        (Role::Developer, Environment::Test | Environment::Live) => {
            Some("developer-stays-below-test")
        }
        (Role::Developer, Environment::Dev | Environment::Multidev(_))
        | (Role::TeamMember | Role::Administrator, _) => None,
    }
}

fn content_hint(rule: &str) -> &'static str {
    if rule == "viewer-reads-code-only" {
        "Ask one of the site's administrators for the role developer or team_member."
    } else {
        "Work on Dev or a Multidev, or ask one of the site's administrators for the role team_member."
    }
}

fn stands_in_the_way(met: InTheWay, area: Area, path: &SitePath) -> Decision {
    match met {
        InTheWay::WayOut => leads_out(area, path),
        InTheWay::Special => special(area, path),
        InTheWay::SeveralNames => several_names(area, path),
        InTheWay::TwoAreas => two_areas(area, path),
    }
}

/// Links that lead out are never followed, so that no area can be reached under the rules of
/// another.
fn leads_out(area: Area, path: &SitePath) -> Decision {
    refuse(
        "link-leaves-its-area",
        format!(
            "/{area}/{path} leads through a link out of /{area}, and such links are not followed."
        ),
        "Use the path of the place that the link means.",
    )
}

fn makes_way_out(area: Area, path: &SitePath) -> Decision {
    refuse(
        "link-leaves-its-area",
        format!("The link /{area}/{path} would lead out of /{area}; it was not made."),
        "Let it lead to a place inside the same area, by a relative path.",
    )
}

fn brings_way_out(area: Area, path: &SitePath) -> Decision {
    refuse(
        "link-leaves-its-area",
        format!(
            "/{area}/{path} would be, hold or lie beyond a link that leads out of /{area}; nothing \
             was put there."
        ),
        "Remove such links first, or copy what they lead to.",
    )
}

/// Whoever opens a pipe waits for its other end, and a device is the server's.
fn special(area: Area, path: &SitePath) -> Decision {
    refuse(
        "only-files-and-folders",
        format!(
            "/{area}/{path} is neither a regular file nor a directory (but perhaps a pipe, a socket \
             or a device), and such are not opened."
        ),
        "Remove it, or use another name.",
    )
}

fn brings_special(area: Area, path: &SitePath) -> Decision {
    refuse(
        "only-files-and-folders",
        format!(
            "/{area}/{path} would be or hold something that is no regular file or directory of the \
             site; nothing was put there."
        ),
        "Hard links are made of regular files only, and folders are moved to another area without \
         pipes, sockets, devices and git's directory.",
    )
}

/// Its other name may lie where other rules hold.
fn several_names(area: Area, path: &SitePath) -> Decision {
    refuse(
        "hard-link-leaves-its-area",
        format!(
            "/{area}/{path} has a second name (a hard link) that was not found in /{area}, so it is \
             not changed in place."
        ),
        "Upload it anew, which gives this name a file of its own.",
    )
}

/// The file would be reached under the rules of both.
fn two_areas(area: Area, path: &SitePath) -> Decision {
    refuse(
        "hard-link-leaves-its-area",
        format!("/{area}/{path} would be a hard link to a file of another area; it was not made."),
        "Copy the file instead.",
    )
}

fn git_directory(site: &SiteName, path: &SitePath) -> Decision {
    refuse(
        "no-git-directory",
        format!("'{path}' names git's own directory, which does not exist in the tree of {site}."),
        "Reach the repository with git; connection:info prints its address.",
    )
}
