//! Values with placeholders, such as `sqlite://${state}/user.db`.

use super::super::process::Process;

/// A value with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placeholder {
    /// `${state}`: the state directory.
    State,
    /// `${root}`: the directory of the file.
    Root,
    /// `${certs}`: the directory of the process's own certificate.
    Certs,
    /// `${config}`: the directory of the pipeline's configuration files.
    Config,
    /// `${jaeger-ui}`: the directory of Jaeger's UI; empty for a UI that is compiled in.
    JaegerUi,
    /// `${host}`: the address on which all processes listen.
    Host,
    /// A setting of the stack's configuration.
    Setting(Setting),
    /// `${port}`, `${address}` or `${url}`: the process's own server.
    Own(Form),
    /// `${NAME.FORM}` or `${NAME.PORT.FORM}`: the server, or the named port, of a process.
    Other { process: Process, port: Option<String>, form: Form },
}

/// A setting that a placeholder can stand for: a field of `StackConfig`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Storage,
    SamplingPercentage,
    Slow,
    DecisionWait,
    SpanDelay,
    MetricInterval,
    /// The URL of vmalert. Empty if alerts are not evaluated.
    AlertsUrl,
    /// The address of vmalert. Empty if alerts are not evaluated.
    AlertsAddress,
    /// The flag of vmalert with the notifier.
    Notifier,
    /// The additional files of rules, each after a comma.
    MoreRules,
}

/// The form in which a placeholder gives a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The number.
    Port,
    /// `HOST:NUMBER`.
    Address,
    /// `http://HOST:NUMBER`.
    Url,
}

impl Template {
    /// Parses a value. The error says what is wrong and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            literal.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                literal.push('$');
                rest = after;
            } else if let Some(inner) = rest.strip_prefix('{') {
                let (name, after) = inner.split_once('}').ok_or("a placeholder has no closing brace")?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::Placeholder(Placeholder::parse(name)?));
                rest = after;
            } else {
                return Err(
                    "write ${NAME} for a placeholder, or $$ for a dollar sign; a single $ has no meaning"
                        .to_owned(),
                );
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self(parts))
    }

    /// Returns the placeholders.
    pub(crate) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Placeholder(placeholder) => Some(placeholder),
        })
    }

    /// Returns the value with the placeholders replaced.
    pub(crate) fn expand<E>(
        &self,
        mut replace: impl FnMut(&Placeholder) -> Result<std::ffi::OsString, E>,
    ) -> Result<std::ffi::OsString, E> {
        let mut value = std::ffi::OsString::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => value.push(text),
                Part::Placeholder(placeholder) => value.push(replace(placeholder)?),
            }
        }
        Ok(value)
    }
}

impl Placeholder {
    fn parse(name: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "${{{name}}} is not a placeholder: use state, root, certs, port, address or url, or NAME.port, \
                 NAME.address or NAME.url with the name of a service in `calls`"
            )
        };
        let parts: Vec<&str> = name.split('.').collect();
        Ok(match parts.as_slice() {
            ["state"] => Self::State,
            ["root"] => Self::Root,
            ["certs"] => Self::Certs,
            ["config"] => Self::Config,
            ["jaeger-ui"] => Self::JaegerUi,
            ["host"] => Self::Host,
            ["storage"] => Self::Setting(Setting::Storage),
            ["sampling-percentage"] => Self::Setting(Setting::SamplingPercentage),
            ["slow"] => Self::Setting(Setting::Slow),
            ["decision-wait"] => Self::Setting(Setting::DecisionWait),
            ["span-delay"] => Self::Setting(Setting::SpanDelay),
            ["metric-interval"] => Self::Setting(Setting::MetricInterval),
            ["alerts-url"] => Self::Setting(Setting::AlertsUrl),
            ["alerts-address"] => Self::Setting(Setting::AlertsAddress),
            ["notifier"] => Self::Setting(Setting::Notifier),
            ["more-rules"] => Self::Setting(Setting::MoreRules),
            [form] => Self::Own(Form::parse(form).ok_or_else(unknown)?),
            [process, form] if !process.is_empty() => Self::Other {
                process: Process::from(*process),
                port: None,
                form: Form::parse(form).ok_or_else(unknown)?,
            },
            [process, port, form] if !process.is_empty() && !port.is_empty() => Self::Other {
                process: Process::from(*process),
                port: Some((*port).to_owned()),
                form: Form::parse(form).ok_or_else(unknown)?,
            },
            _ => return Err(unknown()),
        })
    }

    /// Whether only the pipeline's own file can use this placeholder.
    pub(crate) fn is_for_the_pipeline(&self) -> bool {
        match self {
            Self::Config | Self::JaegerUi | Self::Setting(_) => true,
            Self::State | Self::Root | Self::Certs | Self::Host | Self::Own(_) | Self::Other { .. } => false,
        }
    }
}

impl Form {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "port" => Some(Self::Port),
            "address" => Some(Self::Address),
            "url" => Some(Self::Url),
            _ => None,
        }
    }

    /// Returns a port in this form.
    pub(crate) fn of(self, host: &str, port: u16) -> String {
        match self {
            Self::Port => port.to_string(),
            Self::Address => format!("{host}:{port}"),
            Self::Url => format!("http://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> Result<String, String> {
        let template = Template::parse(text)?;
        let replaced = template.expand(|placeholder| Ok::<_, String>(format!("<{placeholder:?}>").into()))?;
        Ok(replaced.into_string().unwrap())
    }

    #[test]
    fn replaces_placeholders_and_keeps_the_rest() {
        assert_eq!(expand("plain {} text").unwrap(), "plain {} text");
        assert_eq!(expand("a${state}b${port}").unwrap(), "a<State>b<Own(Port)>");
        assert_eq!(expand("$$${root}$${state}").unwrap(), "$<Root>${state}");
        assert_eq!(expand("").unwrap(), "");
    }

    #[test]
    fn rejects_what_is_not_a_placeholder() {
        for text in
            ["${", "${state", "${}", "${stat}", "${a.b}", "${.url}", "${a.b.c.url}", "$state", "cost: 5$"]
        {
            let error = expand(text).unwrap_err();
            assert!(error.contains("placeholder"), "{text}: {error}");
        }
    }
}
