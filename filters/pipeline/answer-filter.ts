/**
 * Keeps usage from a client that did not ask for it, when a stage did (include-usage.ts): the answer passes through a `UsageFilter`.
 *
 * Only a stream of events that can be read is filtered, from its headers on.
 */
import { Bytes, HeaderPairs, headers, MapType, Status } from "../sdk";
import { answerEdit } from "./answer-edit";
import { Exchange } from "./exchange";
import { usageFilters } from "./usage-filter";

const CONTENT_TYPE = Bytes.literal("content-type");
const CONTENT_LENGTH = Bytes.literal("content-length");
const CONTENT_ENCODING = Bytes.literal("content-encoding");
const IDENTITY = Bytes.literal("identity");
const EVENT_STREAM = Bytes.literal("text/event-stream");

const pairs = new HeaderPairs();
const type = new Bytes();

/** Looks at the headers of the answer: one hostcall, and one to remove its length. */
export function beginFiltering(exchange: Exchange): void {
  endFiltering(exchange);
  if (pairs.load(MapType.HttpResponseHeaders) != Status.Ok) return;
  let events = false;
  let sized = false;
  while (pairs.next()) {
    const name = pairs.name;
    if (name.equals(CONTENT_TYPE)) events = isEventStream(pairs.value);
    else if (name.equals(CONTENT_LENGTH)) sized = true;
    else if (name.equals(CONTENT_ENCODING) && !pairs.value.equalsIgnoreCase(IDENTITY)) return;
  }
  if (!events) return;
  if (sized) headers.remove(MapType.HttpResponseHeaders, CONTENT_LENGTH);
  exchange.usageFilter = usageFilters.take();
}

/**
 * `window` is [at, at + length) of the `size` bytes that a callback shows: passes on what is the client's of it. False when the filter gave up: then everything
 * passes from here on.
 */
export function passWindow(exchange: Exchange, window: Bytes, at: i32, length: i32, size: i32, last: bool): bool {
  const filter = exchange.usageFilter;
  if (filter === null) {
    answerEdit.keep(length, window);
    return true;
  }
  const differs = filter.feed(window.ptr, window.len, last);
  const written = differs ? answerEdit.replace(at, length, size, filter.out.view()) : answerEdit.keep(length, window);
  const gaveUp = filter.gaveUp;
  if (gaveUp || !written) endFiltering(exchange);
  return !gaveUp;
}

/** Gives the filter back. */
export function endFiltering(exchange: Exchange): void {
  const filter = exchange.usageFilter;
  if (filter !== null) usageFilters.release(filter);
  exchange.usageFilter = null;
}

/** With or without parameters. */
function isEventStream(value: Bytes): bool {
  const size = EVENT_STREAM.len;
  if (value.len < size || (value.len > size && value.at(size) != 0x3b && value.at(size) != 0x20)) return false;
  type.set(value.ptr, size);
  return type.equalsIgnoreCase(EVENT_STREAM);
}
