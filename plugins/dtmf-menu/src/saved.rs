//! The menu's state as `save` returns it: one line of text, `1 <place> <silences> <question> <timer or -> <digits>`.
//! The leading number is the form's version; a build that does not know it lets the old instance go on.

use patchbay_sdk::Gather;

use crate::{ENTER_RULES, MENU_RULES, Menu, Place};

const VERSION: &str = "1";
const PLACES: [(Place, &str); 4] =
    [(Place::Outside, "outside"), (Place::Menu, "menu"), (Place::Enter, "enter"), (Place::Leaving, "leaving")];

pub fn write(menu: &Menu) -> Vec<u8> {
    let place = PLACES.iter().find(|(place, _)| *place == menu.place).map_or("menu", |(_, word)| word);
    let timer = menu.gather.timer().map_or("-".to_owned(), |id| id.to_string());
    let Menu { silences, question, .. } = menu;
    format!("{VERSION} {place} {silences} {question} {timer} {}", menu.gather.digits()).into_bytes()
}

/// `None` if another build wrote it in a way of its own.
pub fn read(state: &[u8]) -> Option<Menu> {
    let mut words = std::str::from_utf8(state).ok()?.split(' ');
    if words.next()? != VERSION {
        return None;
    }
    let word = words.next()?;
    let (place, _) = PLACES.into_iter().find(|(_, known)| *known == word)?;
    let silences = words.next()?.parse().ok()?;
    let question = words.next()?.parse().ok()?;
    let timer = match words.next()? {
        "-" => None,
        id => Some(id.parse().ok()?),
    };
    let rules = if place == Place::Enter { ENTER_RULES } else { MENU_RULES };
    let gather = Gather::resumed(rules, words.next()?.to_owned(), timer);
    Some(Menu { place, gather, silences, question })
}
