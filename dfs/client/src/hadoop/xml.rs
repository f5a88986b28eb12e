//! As much XML as Hadoop's configuration files have: elements, text, entities, comments. No namespaces, no inclusion of other
//! files.

/// One property of a configuration file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) is_final: bool,
}

/// The properties of a configuration file, in order.
pub(super) fn properties(text: &str) -> Result<Vec<Property>, String> {
    let mut reader = Reader { rest: text };
    let mut properties = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut current = Property::default();
    let mut content = String::new();
    let mut seen_root = false;
    while let Some(token) = reader.next()? {
        match token {
            Token::Open(name, empty) => {
                if open.is_empty() && name != "configuration" {
                    return Err(format!("begins with <{name}>, expected <configuration>"));
                }
                seen_root = true;
                content.clear();
                if name == "property" {
                    current = Property::default();
                }
                if !empty {
                    open.push(name);
                }
            }
            Token::Close(name) => {
                if open.pop().as_deref() != Some(&name) {
                    return Err(format!("</{name}> closes what is not open"));
                }
                match name.as_str() {
                    "name" => current.name = content.trim().to_owned(),
                    "value" => current.value.clone_from(&content),
                    "final" => current.is_final = content.trim() == "true",
                    "property" if !current.name.is_empty() => properties.push(std::mem::take(&mut current)),
                    _ => {}
                }
                content.clear();
            }
            Token::Text(text) => content.push_str(&text),
        }
    }
    match open.pop() {
        Some(name) => Err(format!("<{name}> is not closed")),
        None if seen_root => Ok(properties),
        None => Err("has no <configuration>".to_owned()),
    }
}

enum Token {
    /// Name, and whether the element has no content.
    Open(String, bool),
    Close(String),
    Text(String),
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<Option<Token>, String> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            if let Some(cdata) = self.rest.strip_prefix("<![CDATA[") {
                let (text, rest) = cdata.split_once("]]>").ok_or("CDATA is not closed")?;
                let text = text.to_owned();
                self.rest = rest;
                return Ok(Some(Token::Text(text)));
            }
            let skipped = [("<!--", "-->"), ("<?", "?>"), ("<!", ">")];
            let skip = skipped.iter().find(|(begin, _)| self.rest.starts_with(begin));
            if let Some((begin, end)) = skip {
                let after = self
                    .rest
                    .find(end)
                    .ok_or_else(|| format!("{begin} is not closed by {end}"))?;
                self.rest = &self.rest[after + end.len()..];
                continue;
            }
            return match self.rest.strip_prefix('<') {
                Some(tag) => self.tag(tag.find('>').ok_or("a tag is not closed by >")?).map(Some),
                None => {
                    let end = self.rest.find('<').unwrap_or(self.rest.len());
                    let text = unescape(&self.rest[..end])?;
                    self.rest = &self.rest[end..];
                    Ok(Some(Token::Text(text)))
                }
            };
        }
    }

    /// The tag that is `length` bytes long between `<` and `>`.
    fn tag(&mut self, length: usize) -> Result<Token, String> {
        let tag = &self.rest[1..=length];
        self.rest = &self.rest[length + 2..];
        if let Some(name) = tag.strip_prefix('/') {
            return Ok(Token::Close(name.trim().to_owned()));
        }
        let empty = tag.ends_with('/');
        let name = tag.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
        if name.is_empty() {
            return Err("a tag has no name".to_owned());
        }
        if name.ends_with(":include") {
            return Err("includes another file, which is not supported".to_owned());
        }
        Ok(Token::Open(name.to_owned(), empty))
    }
}

fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        let (entity, after) = rest[at + 1..].split_once(';').ok_or("& without ;")?;
        plain.push(entity_char(entity).ok_or_else(|| format!("unknown entity &{entity};"))?);
        rest = after;
    }
    plain.push_str(rest);
    Ok(plain)
}

fn entity_char(entity: &str) -> Option<char> {
    match entity {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_usual_file_reads() {
        let text = r#"<?xml version="1.0" encoding="UTF-8"?>
<?xml-stylesheet type="text/xsl" href="configuration.xsl"?>
<!-- <property> in a comment -->
<configuration>
  <property>
    <name> a.b </name>
    <value>x &lt;&amp;&#65;&#x42;</value>
    <description>words</description>
    <final>true</final>
  </property>
  <property><name>c</name><value><![CDATA[<raw>]]></value></property>
  <property><name>empty</name><value/></property>
</configuration>
"#;
        let found = properties(text).unwrap();
        let expected = [("a.b", "x <&AB", true), ("c", "<raw>", false), ("empty", "", false)];
        let expected = expected.map(|(name, value, is_final)| Property {
            name: name.into(),
            value: value.into(),
            is_final,
        });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "text",
            "<html/>",
            "<configuration>",
            "<configuration></property>",
            "<configuration><!-- </configuration>",
            "<configuration>&nbsp;</configuration>",
            "<configuration><xi:include href='x'/></configuration>",
            "<configuration",
        ] {
            assert!(properties(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[<>/?!&;a-c\\-\\[\\] =\"]{0,60}") {
            let _ = properties(&text);
            let _ = properties(&format!("<configuration>{text}</configuration>"));
        }
    }
}
