/** What a client should get of a stream whose usage it did not ask for, from all of its bytes at once: the yardstick of filters/pipeline/usage-filter. */

/** Lines between events. */
interface Comment {
  bytes: Buffer;
}

/** Fields and the blank line behind them. */
interface Event extends Comment {
  data: string[];
  complete: boolean;
}

/** Comments between events, and events. */
function eventsOf(stream: Buffer): (Comment | Event)[] {
  const found: (Comment | Event)[] = [];
  let open: Event | undefined;
  let first = true;
  for (const [line] of stream.toString("latin1").matchAll(/[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$/g)) {
    const bytes = Buffer.from(line, "latin1");
    const text = line.replace(/[\r\n]+$/, "");
    const field = first ? text.replace(/^\u00ef\u00bb\u00bf/, "") : text;
    first = false;
    if (!open && (text === "" || text.startsWith(":"))) {
      found.push({ bytes });
      continue;
    }
    open ??= { bytes: Buffer.of(), data: [], complete: false };
    open.bytes = Buffer.concat([open.bytes, bytes]);
    if (field.startsWith("data:")) open.data.push(field.slice(5));
    if (text !== "") continue;
    open.complete = true;
    found.push(open);
    open = undefined;
  }
  if (open) found.push(open);
  return found;
}

function onlyReportsUsage({ data, complete }: Event): boolean {
  if (!complete) return false;
  let parsed: unknown;
  try {
    parsed = JSON.parse(data.join("\n"));
  } catch {
    return false;
  }
  const { choices, usage } = (parsed ?? {}) as { choices?: unknown; usage?: unknown };
  return Array.isArray(choices) && choices.length === 0 && isObject(parsed) && isObject(usage);
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

/** All that the client gets of the stream. */
export function clientBytes(stream: Buffer): Buffer {
  const passing = eventsOf(stream).filter((one) => !isEvent(one) || !onlyReportsUsage(one));
  return Buffer.concat(passing.map(({ bytes }) => bytes));
}

/** What the client must have when these bytes have come, whatever follows: everything but an event that is not complete. */
export function dueBytes(stream: Buffer): Buffer {
  const due = eventsOf(stream).filter((one) => !isEvent(one) || (one.complete && !onlyReportsUsage(one)));
  return Buffer.concat(due.map(({ bytes }) => bytes));
}

const isEvent = (one: Comment | Event): one is Event => "data" in one;
