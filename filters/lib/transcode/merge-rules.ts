/**
 * How the members of an answer are put together from the events of its stream, by API. A member that is not named has the rule of its object.
 *
 * Of a member that no rule names, nobody knows whether its values are pieces, replacements or repetitions. So it is taken when there is only one reading: one
 * value that is not empty, or the same one again.
 *
 *   Chunk       choices[Choice] usage id ...             a chunk, or a whole answer, of chat completions and completions
 *   Choice      delta|message{Delta} logprobs{Logprobs} text finish_reason ...
 *   Delta       content refusal reasoning tool_calls[Tool] function_call{Call} ...
 *   Tool        id type function{Call} ...
 *   Message     content[Block] usage{Latest} ...         a message of Anthropic's; BlockDelta and MessageDelta are merged into its blocks and into itself
 *   Response    output[Item] ...
 *   Item        content[Part] summary[Part] ...
 */
export const enum Rule {
  /** One value that is not empty. */
  Once = 0,
  /** The same value again. */
  Same = 1,
  /** The last value that is not empty. */
  Last = 2,
  /** Strings, joined. */
  Text = 3,
  /** Arrays, joined. */
  Append = 4,
  /** Values, elements of one array. */
  Push = 5,
  /** Objects, merged. */
  Object = 6,
  /** Arrays of objects, which are merged by their `index`; in a whole answer by their place when they have none. */
  Items = 7,
  /** Arrays of objects, which are merged by their place. */
  Each = 8,
  /** Not looked at. */
  Drop = 9,
  /** Nothing but null. */
  Refuse = 10,
}

/** What the members of an object are; in the rule of a member, shifted by `SHAPE`. */
export const enum Shape {
  Chunk = 0,
  Choice = 1,
  Delta = 2,
  Tool = 3,
  Call = 4,
  Logprobs = 5,
  Message = 6,
  Block = 7,
  BlockDelta = 8,
  MessageDelta = 9,
  Response = 10,
  Item = 11,
  Part = 12,
  // No rule names members of these.
  Latest = 13,
  Extra = 14,
}

/** `rule & 15` is the rule, `rule >> SHAPE` the shape below it. */
export const SHAPE: i32 = 4;

/** Members that every chunk of a stream repeats. */
export const HEAD: string = "id created model service_tier system_fingerprint";

/** Place of the key, or of the inside of a string, in a list of names with spaces between them, or -1. */
export function placeOf(key: usize, length: i32, names: string): i32 {
  let at = changetype<usize>(names);
  const end = at + (<usize>names.length << 1);
  for (let place = 0; at < end; place++) {
    let same = 0;
    let size = 0;
    for (; at < end && load<u16>(at) != 0x20; at += 2) {
      if (size < length && load<u16>(at) == <u16>load<u8>(key + <usize>size)) same++;
      size++;
    }
    if (same == length && size == length) return place;
    at += 2;
  }
  return -1;
}

/** The rule of a member whose value begins with `byte`. */
export function ruleOf(shape: Shape, key: usize, length: i32, byte: u8): i32 {
  switch (shape) {
    case Shape.Chunk:
      switch (placeOf(key, length, "choices obfuscation error usage object")) {
        case 0:
          return Rule.Items | (Shape.Choice << SHAPE);
        case 1:
          return Rule.Drop;
        case 2:
          return Rule.Refuse;
        case -1:
          if (placeOf(key, length, HEAD) < 0) return byte == 0x7b ? Rule.Object | (Shape.Extra << SHAPE) : Rule.Same;
      }
      return Rule.Last;
    case Shape.Choice:
      switch (placeOf(key, length, "delta message logprobs text finish_reason")) {
        case 0:
        case 1:
          return Rule.Object | (Shape.Delta << SHAPE);
        case 2:
          return Rule.Object | (Shape.Logprobs << SHAPE);
        case 3:
          return Rule.Text;
        case 4:
          return Rule.Last;
      }
      // A string or an array could be a piece of one that happens to be the same.
      return byte == 0x22 || byte == 0x5b ? Rule.Once : Rule.Same;
    case Shape.Delta:
      switch (placeOf(key, length, "tool_calls function_call annotations role audio content refusal reasoning reasoning_content")) {
        case 0:
          return Rule.Items | (Shape.Tool << SHAPE);
        case 1:
          return Rule.Object | (Shape.Call << SHAPE);
        case 2:
          return Rule.Append;
        case 3:
          return Rule.Last;
        case 4:
          // A streamed one has another format than a whole one.
          return Rule.Refuse;
        case -1:
          return Rule.Once;
      }
      return Rule.Text;
    case Shape.Tool:
      switch (placeOf(key, length, "function id type index")) {
        case 0:
          return Rule.Object | (Shape.Call << SHAPE);
        case -1:
          return Rule.Once;
      }
      return Rule.Same;
    case Shape.Call:
      switch (placeOf(key, length, "arguments name")) {
        case 0:
          return Rule.Text;
        case 1:
          return Rule.Same;
      }
      return Rule.Once;
    case Shape.Logprobs:
      return Rule.Append;
    case Shape.Message:
    case Shape.MessageDelta:
      switch (placeOf(key, length, shape == Shape.Message ? "content usage error" : "type usage error delta")) {
        case 0:
          return shape == Shape.Message ? Rule.Each | (Shape.Block << SHAPE) : Rule.Drop;
        case 1:
          return Rule.Object | (Shape.Latest << SHAPE);
        case 2:
          return Rule.Refuse;
        case 3:
          return Rule.Drop;
      }
      return Rule.Last;
    case Shape.Block:
    case Shape.BlockDelta:
      switch (placeOf(key, length, shape == Shape.Block ? "text thinking signature citations" : "text thinking signature type citation partial_json")) {
        case 2:
          return Rule.Last;
        case 3:
          return shape == Shape.Block ? Rule.Append : Rule.Drop;
        case 4:
          return Rule.Push;
        case -1:
          return Rule.Once;
      }
      return Rule.Text;
    case Shape.Response:
      switch (placeOf(key, length, "output error")) {
        case 0:
          return Rule.Each | (Shape.Item << SHAPE);
        case 1:
          return Rule.Refuse;
      }
      return Rule.Once;
    case Shape.Item:
      return placeOf(key, length, "content summary") < 0 ? Rule.Once : Rule.Each | (Shape.Part << SHAPE);
    case Shape.Latest:
      return Rule.Last;
    case Shape.Extra:
      return Rule.Same;
    default:
      return Rule.Once;
  }
}
