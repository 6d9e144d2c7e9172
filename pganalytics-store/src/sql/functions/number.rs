//! `to_char` of numbers, with PostgreSQL's patterns.

/// A part of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Nine,
    Zero,
    Point,
    Group,
    Sign,
    Minus,
    Plus,
    Both,
    Text(char),
}

/// The text of a number.
///
/// # Errors
/// What in the picture is not supported.
pub(super) fn paint(value: &str, picture: &str) -> Result<String, String> {
    let (parts, tight, angle) = parts(picture)?;
    let point = parts.iter().position(|part| *part == Part::Point).unwrap_or(parts.len());
    let digits = |part: &&Part| matches!(part, Part::Nine | Part::Zero);
    let before = parts.iter().take(point).filter(digits).count();
    let after = parts.iter().skip(point).filter(digits).count();
    let (negative, whole, fraction) = rounded(value, after).ok_or("to_char: the number has no digits")?;
    let zero = whole == "0" && fraction.bytes().all(|digit| digit == b'0');
    let negative = negative && !zero;
    let too_large = whole.len() > before && whole != "0";
    let first_zero = parts.iter().take(point).filter(digits).position(|part| *part == Part::Zero);
    // Nothing stands before the point of a fraction unless a 0 asks for it.
    let hidden = whole == "0" && after > 0 && !(zero && tight);
    let shown = if hidden { 0 } else { whole.len() };
    let from = before.saturating_sub(shown).min(first_zero.unwrap_or(usize::MAX)).min(before);
    let has = |part: &Part| parts.contains(part);
    let own_sign = has(&Part::Sign) || has(&Part::Minus) || has(&Part::Plus) || has(&Part::Both) || angle;
    let leading_sign = parts
        .iter()
        .position(|part| *part == Part::Sign)
        .is_some_and(|at| parts.iter().take(at).all(|part| !matches!(part, Part::Nine | Part::Zero)));
    let mut text = String::new();
    let mut place = 0;
    let mut begun = false;
    let begin = |text: &mut String, begun: &mut bool| {
        if *begun {
            return;
        }
        *begun = true;
        if leading_sign {
            text.push(if negative { '-' } else { '+' });
        } else if angle {
            if negative {
                text.push('<');
            } else if !tight {
                text.push(' ');
            }
        } else if !own_sign {
            if negative {
                text.push('-');
            } else if !tight {
                text.push(' ');
            }
        }
    };
    let mut decimals = fraction.chars();
    let needed = needed_decimals(&parts, point, &fraction);
    let mut decimal = 0;
    let mut past = false;
    for part in &parts {
        match part {
            Part::Nine | Part::Zero if !past => {
                if place >= from {
                    begin(&mut text, &mut begun);
                    let missing = before - place;
                    let digit = if too_large {
                        '#'
                    } else if missing > whole.len() {
                        '0'
                    } else {
                        whole.chars().nth(whole.len() - missing).unwrap_or('0')
                    };
                    text.push(digit);
                } else if !tight {
                    text.push(' ');
                }
                place += 1;
            }
            Part::Nine | Part::Zero => {
                let digit = decimals.next().unwrap_or('0');
                if !tight || decimal < needed {
                    text.push(if too_large { '#' } else { digit });
                }
                decimal += 1;
            }
            Part::Point => {
                begin(&mut text, &mut begun);
                past = true;
                text.push('.');
            }
            Part::Group if begun => text.push(','),
            Part::Group if !tight => text.push(' '),
            Part::Group => {}
            Part::Sign if leading_sign => {}
            Part::Sign | Part::Both => text.push(if negative { '-' } else { '+' }),
            Part::Minus if negative => text.push('-'),
            Part::Plus if !negative => text.push('+'),
            Part::Minus | Part::Plus if !tight => text.push(' '),
            Part::Minus | Part::Plus => {}
            Part::Text(letter) => text.push(*letter),
        }
    }
    if angle {
        if negative {
            text.push('>');
        } else if !tight {
            text.push(' ');
        }
    }
    Ok(text)
}

/// Decimals that stay where those that are not needed are left out.
fn needed_decimals(parts: &[Part], point: usize, fraction: &str) -> usize {
    let digits = parts.iter().skip(point).filter(|part| matches!(part, Part::Nine | Part::Zero));
    let asked = digits.enumerate().filter(|(_, part)| **part == Part::Zero).map(|(at, _)| at + 1).last().unwrap_or(0);
    asked.max(fraction.trim_end_matches('0').len())
}

fn parts(picture: &str) -> Result<(Vec<Part>, bool, bool), String> {
    let (mut parts, mut tight, mut angle) = (Vec::new(), false, false);
    let mut rest = picture;
    while let Some(letter) = rest.chars().next() {
        let word = |word: &str| rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        let mut taken = letter.len_utf8();
        if let Some(no) = ["EEEE", "RN", "TH", "V", "L"].into_iter().find(|no| word(no)) {
            return Err(format!("to_char: the pattern \"{no}\" of numbers is not supported"));
        }
        if word("FM") {
            (tight, taken) = (true, 2);
        } else if word("PR") {
            (angle, taken) = (true, 2);
        } else if word("MI") || word("PL") || word("SG") {
            taken = 2;
            parts.push(if word("MI") {
                Part::Minus
            } else if word("PL") {
                Part::Plus
            } else {
                Part::Both
            });
        } else if letter == '"' {
            let quoted = rest.get(1..).unwrap_or_default();
            let end = quoted.find('"').unwrap_or(quoted.len());
            parts.extend(quoted.get(..end).unwrap_or_default().chars().map(Part::Text));
            taken = (end + 2).min(rest.len());
        } else {
            parts.push(match letter {
                '9' => Part::Nine,
                '0' => Part::Zero,
                '.' | 'D' | 'd' => Part::Point,
                ',' | 'G' | 'g' => Part::Group,
                'S' | 's' => Part::Sign,
                other => Part::Text(other),
            });
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    if parts.iter().filter(|part| **part == Part::Point).count() > 1 {
        return Err("to_char: the picture has more than one decimal point".to_owned());
    }
    Ok((parts, tight, angle))
}

/// A plain decimal number, rounded half away from zero: whether it is negative,
/// its whole digits, and its decimals.
fn rounded(value: &str, decimals: usize) -> Option<(bool, String, String)> {
    let (negative, digits) = value.strip_prefix('-').map_or((false, value), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let up = fraction.as_bytes().get(decimals).is_some_and(|digit| *digit >= b'5');
    let mut all: Vec<u8> =
        whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(decimals)).collect();
    if up {
        let mut carry = true;
        for digit in all.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            all.insert(0, b'1');
        }
    }
    let all = String::from_utf8(all).ok()?;
    let (whole, fraction) = all.split_at_checked(all.len() - decimals)?;
    let whole = whole.trim_start_matches('0');
    Some((negative, if whole.is_empty() { "0".to_owned() } else { whole.to_owned() }, fraction.to_owned()))
}
