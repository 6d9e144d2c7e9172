//! Which bare words of a statement are values.
//!
//! Read token by token, so that blanks, line breaks and comments make no
//! difference. Of what is not known it says more often than less that it is a
//! value.

use super::token::Kind;

/// What becomes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It stays, or becomes what its kind becomes.
    Keep,
    /// It is a value.
    Value,
    /// It is a value, and so may be the rest of the statement.
    Rest,
}

/// Words that a statement begins with whose values are all strings and numbers.
const PLAIN: &[&str] = &[
    "select",
    "insert",
    "update",
    "delete",
    "merge",
    "with",
    "values",
    "table",
    "explain",
    "prepare",
    "execute",
    "declare",
    "fetch",
    "move",
    "close",
    "call",
    "begin",
    "start",
    "commit",
    "end",
    "rollback",
    "abort",
    "savepoint",
    "release",
    "grant",
    "revoke",
    "comment",
    "analyze",
    "analyse",
    "vacuum",
    "truncate",
    "lock",
    "drop",
    "reindex",
    "cluster",
    "refresh",
    "deallocate",
    "discard",
    "listen",
    "unlisten",
    "notify",
    "show",
    "checkpoint",
    "reassign",
];
/// Words between `CREATE` or `ALTER` and the kind of object.
const MODIFIERS: &[&str] = &[
    "or",
    "replace",
    "temp",
    "temporary",
    "global",
    "local",
    "unlogged",
    "recursive",
    "unique",
    "constraint",
    "materialized",
    "foreign",
    "event",
    "trusted",
    "procedural",
    "default",
];
/// Kinds whose definitions have names in them that could be `password`, and
/// words behind `SET` that are no settings.
const STRUCTURES: &[&str] = &[
    "table",
    "view",
    "index",
    "function",
    "procedure",
    "routine",
    "aggregate",
    "type",
    "domain",
    "trigger",
    "rule",
    "policy",
    "sequence",
    "schema",
    "statistics",
    "operator",
    "cast",
    "collation",
    "conversion",
    "extension",
    "language",
    "publication",
    "tablespace",
    "text",
    "transform",
    "access",
    "large",
    "privileges",
    "data",
    "server",
];
/// What comes behind `SET` in a statement of its own and is no setting.
const NO_SETTINGS: &[&str] = &["transaction", "characteristics", "constraints", "role", "authorization"];
/// The same behind `ALTER …`.
const NO_SETTINGS_OF_OBJECTS: &[&str] = &["tablespace", "publication", "schema"];
/// Words before a secret in statements on roles and subscriptions. `IDENTIFIED BY`
/// is another system's, and such a statement is logged when it is refused.
const BEFORE_SECRETS: &[&str] = &["password", "identified", "connection"];
/// Values of options that tell nothing.
const HARMLESS_WORDS: &[&str] = &["true", "false", "on", "off", "none", "null", "csv", "text", "binary"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// No word yet.
    Open,
    /// `SET`
    Set,
    /// `ALTER` and `CREATE` up to the kind of object.
    Kind,
    /// `ALTER`, `CREATE` and statements that nobody knows.
    Definition {
        /// On a structure.
        structure: bool,
    },
    Copy,
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    /// Behind a point: a part of a name.
    Point,
    /// Behind `SET`.
    Set,
    /// Behind a word that may be the name of a setting or not.
    NoSetting,
    /// Behind a part of a setting's name.
    Setting,
    /// Behind a point in it.
    SettingPoint,
    /// Behind `SET name =` or `PASSWORD`.
    Value,
    Secret,
    /// Behind `WITH` or `OPTIONS`: a parenthesis opens a list of options.
    Options,
    /// Before and behind an option's name, and in its value.
    Option,
    OptionName,
    OptionValue,
}

/// A statement, as far as it was read.
#[derive(Debug)]
pub(super) struct Statement {
    form: Form,
    place: Place,
    /// Parentheses that are open; those of a list of options begin at 1.
    depth: u32,
    /// An `UPDATE` whose `SET` is still to come.
    updates: bool,
    /// A parenthesis opens a list of options without a word before it.
    lists: bool,
}

impl Statement {
    pub(super) fn new() -> Self {
        Self { form: Form::Open, place: Place::Elsewhere, depth: 0, updates: false, lists: false }
    }

    /// Of the tokens that follow, only the words `SET` and `UPDATE` count.
    pub(super) fn is_plain(&self) -> bool {
        self.form == Form::Plain && self.place == Place::Elsewhere
    }

    /// Reads the next token that is neither a blank nor a comment nor the end.
    pub(super) fn read(&mut self, kind: Kind, text: &str) -> Verdict {
        match self.place {
            Place::Elsewhere | Place::Point => self.elsewhere(kind, text),
            Place::Set => self.behind_set(kind, text),
            Place::NoSetting => match kind {
                Kind::Sign(b'.') => self.go(Place::SettingPoint),
                _ if assigns(kind, text) => self.go(Place::Value),
                _ => {
                    if self.form == Form::Set {
                        self.form = Form::Plain;
                    }
                    self.elsewhere(kind, text)
                }
            },
            Place::Setting => match kind {
                Kind::Sign(b'.') => self.go(Place::SettingPoint),
                _ if assigns(kind, text) => self.go(Place::Value),
                _ if self.is_strict() => Verdict::Rest,
                _ => self.elsewhere(kind, text),
            },
            Place::SettingPoint => self.go(Place::Setting),
            Place::Value => Verdict::Rest,
            Place::Secret => match kind {
                Kind::String => self.go(Place::Elsewhere),
                Kind::Word if is(text, "null") => self.go(Place::Elsewhere),
                _ => Verdict::Rest,
            },
            Place::Options if kind == Kind::Sign(b'(') => {
                self.depth = 1;
                self.go(Place::Option)
            }
            Place::Options => self.elsewhere(kind, text),
            Place::Option | Place::OptionName | Place::OptionValue => self.options(kind, text),
        }
    }

    fn go(&mut self, place: Place) -> Verdict {
        self.place = place;
        Verdict::Keep
    }

    /// Behind `SET` comes a setting, and nothing else is likely.
    fn is_strict(&self) -> bool {
        matches!(self.form, Form::Set | Form::Definition { structure: false })
    }

    fn elsewhere(&mut self, kind: Kind, text: &str) -> Verdict {
        let behind_point = self.place == Place::Point;
        self.place = Place::Elsewhere;
        match kind {
            Kind::Word if !behind_point => self.word(text),
            Kind::Sign(b'.') => self.go(Place::Point),
            Kind::Sign(b'(') => {
                self.depth += 1;
                if self.lists && self.depth == 1 { self.go(Place::Option) } else { Verdict::Keep }
            }
            Kind::Sign(b')') => {
                self.depth = self.depth.saturating_sub(1);
                Verdict::Keep
            }
            _ => Verdict::Keep,
        }
    }

    fn word(&mut self, word: &str) -> Verdict {
        match self.form {
            Form::Open => {
                self.form = match word {
                    _ if is(word, "set") => {
                        self.place = Place::Set;
                        Form::Set
                    }
                    _ if is(word, "create") || is(word, "alter") => Form::Kind,
                    _ if is(word, "copy") => Form::Copy,
                    _ if is_one_of(word, PLAIN) => Form::Plain,
                    _ => Form::Definition { structure: false },
                };
                self.updates = is(word, "update");
                return Verdict::Keep;
            }
            Form::Kind if is_one_of(word, MODIFIERS) => return Verdict::Keep,
            Form::Kind => {
                self.form = Form::Definition { structure: is_one_of(word, STRUCTURES) };
                // CREATE TEXT SEARCH DICTIONARY
                self.lists = is(word, "text");
            }
            Form::Copy if self.depth == 0 => {
                self.lists |= is(word, "from") || is(word, "to");
                self.lists &= !is(word, "where");
            }
            _ => {}
        }
        let defines = matches!(self.form, Form::Definition { .. });
        match word {
            _ if is(word, "set") => {
                let of_update = std::mem::take(&mut self.updates) && !defines;
                self.place = if of_update { Place::Elsewhere } else { Place::Set };
            }
            _ if is(word, "update") => self.updates = true,
            _ if defines && (is(word, "with") || is(word, "options")) => self.place = Place::Options,
            _ if self.is_strict() && is_one_of(word, BEFORE_SECRETS) => self.place = Place::Secret,
            _ => {}
        }
        Verdict::Keep
    }

    fn behind_set(&mut self, kind: Kind, text: &str) -> Verdict {
        match kind {
            _ if assigns(kind, text) => self.go(Place::Value),
            // SET LOCAL, and not the setting's name yet.
            Kind::Word if is(text, "local") || is(text, "session") => Verdict::Keep,
            Kind::Word if self.form == Form::Set && is_one_of(text, NO_SETTINGS) => self.go(Place::NoSetting),
            Kind::Word if self.form != Form::Set && is_one_of(text, NO_SETTINGS_OF_OBJECTS) => {
                self.go(Place::NoSetting)
            }
            Kind::Word | Kind::Name => self.go(Place::Setting),
            Kind::Sign(b'(') if self.form != Form::Set => {
                self.depth = 1;
                self.go(Place::Option)
            }
            _ if self.is_strict() => Verdict::Rest,
            _ => self.elsewhere(kind, text),
        }
    }

    fn options(&mut self, kind: Kind, text: &str) -> Verdict {
        match (kind, self.place) {
            (Kind::Sign(b')'), _) => {
                self.depth = self.depth.saturating_sub(1);
                self.go(if self.depth == 0 { Place::Elsewhere } else { self.place })
            }
            (Kind::Sign(b'('), _) => {
                self.depth += 1;
                self.go(Place::OptionValue)
            }
            (Kind::Sign(b','), _) if self.depth == 1 => self.go(Place::Option),
            (Kind::Sign(b'.'), Place::OptionName) => self.go(Place::Option),
            (Kind::Sign(b'='), _) => self.go(Place::OptionValue),
            (Kind::Word, Place::Option) if ["add", "set", "drop"].iter().any(|action| is(text, action)) => {
                Verdict::Keep
            }
            (Kind::Word | Kind::Name, Place::Option) => self.go(Place::OptionName),
            (Kind::Word, _) if is_one_of(text, HARMLESS_WORDS) => self.go(Place::OptionValue),
            (Kind::Word | Kind::Name | Kind::Parameter, _) => {
                self.place = Place::OptionValue;
                Verdict::Value
            }
            _ => self.go(Place::OptionValue),
        }
    }
}

/// Between a setting and its value.
fn assigns(kind: Kind, text: &str) -> bool {
    matches!(kind, Kind::Sign(b'=' | b':')) || (kind == Kind::Word && is(text, "to"))
}

fn is(word: &str, other: &str) -> bool {
    word.eq_ignore_ascii_case(other)
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|other| is(word, other))
}
