//! Why a verb was not done.

use super::page::{Context, Ink, Line, Page};
use crate::refusal::Refusal;

/// For people.
pub(crate) fn text(refusal: &Refusal, context: &Context) -> String {
    let hint = refusal.hint.as_deref();
    failure(&refusal.message, &refusal.causes, hint, context)
}

/// What went wrong, why, and what to do, wrapped at its indentation.
pub(super) fn failure(
    message: &str,
    causes: &[String],
    hint: Option<&str>,
    context: &Context,
) -> String {
    let mut page = Page::new(context);
    let mut lines = message.lines();
    let first = Line::indented(0).ink(Ink::Bad, "error:").text(" ");
    page.line(&first.hang_here().text(lines.next().unwrap_or_default()));
    for line in lines {
        let indent = line.len() - line.trim_start().len();
        match line.trim_start().strip_prefix("hint: ") {
            Some(hint) => page.hint(indent, hint),
            None => page.plain(indent, line.trim_start()),
        }
    }
    for cause in causes {
        page.plain(2, cause);
    }
    if let Some(hint) = hint {
        page.hint(2, hint);
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::golden;
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn an_error_names_its_causes_and_ends_with_what_to_do() {
        let refusal = Refusal::new(Exit::AllFailed, "first did not answer with a directory")
            .cause(
                "https://acme.first.example/directory: connect to 198.51.100.7:443 refused after \
                 7 ms, and this line is long enough to be wrapped on every terminal there is",
            )
            .cause("the address came from the resolver 192.0.2.53")
            .hint("`waxwing check` looks at the network of this machine");
        golden("refusal.txt", |context| text(&refusal, context));
    }

    #[test]
    fn lines_of_a_message_keep_their_indentation() {
        let message = "1 problem in the configuration; nothing was done\n  waxwing.toml:10:3  \
                       plugin.web.secret\n      unknown key; did you mean `secrets`?\n      hint: \
                       secrets = { api-key = \"file:api-key\" }";
        let refusal = Refusal::new(Exit::Config, message);
        golden("refusal-config.txt", |context| text(&refusal, context));
    }
}
