//! Valid messages of every kind with a framing or a handling of its own, from which mutations start.

mod requests;
mod responses;

pub(crate) use requests::{request, usual_request};
pub(crate) use responses::exchange;

#[cfg(test)]
mod tests {
    use super::super::dice::Dice;
    use super::super::reader::{State, read_request, read_response};
    use super::super::rules::Rule;
    use super::super::sent::{Sent, Tail};
    use super::*;

    #[test]
    fn seeds_of_requests_have_to_be_served() {
        for number in 0..500 {
            let bytes = request(number, 0, &mut Dice::of_case(1, number as u64)).write();
            let sent = Sent::read(&bytes);
            let shown = bytes.escape_ascii();
            assert_eq!((sent.messages.len(), sent.tail), (1, Tail::Nothing), "{shown}");
            assert_eq!(sent.messages[0].rule, Rule::Serve, "{shown}");
        }
    }

    #[test]
    fn seeds_of_responses_are_complete_and_without_quirks() {
        for number in 0..500 {
            let exchange = exchange(number, &mut Dice::of_case(1, number as u64));
            let asked = read_request(&exchange.request).head.expect("it is a request");
            let bytes = [exchange.before, exchange.response.write()].concat();
            let read = read_response(&bytes, &asked, true);
            let shown = bytes.escape_ascii();
            assert_eq!((read.state, read.taken), (State::Whole, bytes.len()), "{shown}");
            assert!(read.quirks.is_empty(), "{shown}: {:?}", read.quirks);
        }
    }
}
