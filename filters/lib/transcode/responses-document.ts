/** The events of a stream of OpenAI's responses -> the answer, which its last event has whole. */
import { AnswerWriter } from "./answer-writer";
import { EventData } from "./event-data";
import { behindSpace, behindValue } from "./json-value";
import { memberAt, nameAt } from "./merge-tree";

/** False: it is no whole stream, has failed, or its last event has no output although there was some. */
export function writeResponse(out: AnswerWriter, events: EventData): bool {
  let items = false;
  let from: usize = 0;
  let to: usize = 0;
  while (events.next()) {
    if (from != 0) {
      // Some servers end their streams as the older API does.
      if (events.done) continue;
      return false;
    }
    const end = events.to;
    const behind = behindValue(behindSpace(events.from, end), end);
    if (behind == 0 || behindSpace(behind, end) != end) return false;
    const type = memberAt(events.from, end, "type");
    const last = nameAt(type, end, "response.completed response.incomplete");
    const other = nameAt(type, end, "response.output_item.done error response.failed");
    if (type == 0 || other > 0) return false;
    if (other == 0) items = true;
    if (last < 0) continue;
    from = memberAt(events.from, end, "response");
    to = from == 0 ? 0 : behindValue(from, end);
    const output: usize = to == 0 ? 0 : memberAt(from, to, "output");
    if (output == 0 || load<u8>(output) != 0x5b) return false;
    if (items && load<u8>(behindSpace(output + 1, to)) == 0x5d) return false;
  }
  if (from == 0 || events.failed) return false;
  out.json(from, to);
  return true;
}
