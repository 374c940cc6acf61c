/**
 * Whether the filter takes a pattern (`lastUserMessage`): the twin of filters/lib/pattern-parser.ts. It reads the same syntax, counts instructions the same way and refuses
 * with the same words; a differential test holds the two together. Nothing is compiled here.
 */
const MAX_PATTERN = 512;
const MAX_INSTRUCTIONS = 1000;
const MAX_NESTING = 32;
const MAX_COUNT = 256;

class Refusal extends Error {}

/** Why the filter would refuse the pattern: what, at which byte, and what to do; undefined when it takes it. O(length). */
export function patternFault(text: string): string | undefined {
  try {
    new PatternCheck(text).run();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

class PatternCheck {
  private readonly bytes: Buffer;
  private readonly wellFormed: boolean;
  private at = 0;
  private nesting = 0;
  /** Instructions so far. */
  private size = 0;

  constructor(text: string) {
    this.bytes = Buffer.from(text);
    this.wellFormed = text.isWellFormed();
  }

  run(): void {
    if (this.bytes.length === 0) refuse(0, "is empty", "write what the text must contain");
    if (this.bytes.length > MAX_PATTERN)
      refuse(MAX_PATTERN, `has more than ${MAX_PATTERN} bytes`, "split it into several rules");
    if (!this.wellFormed) refuse(0, "is not UTF-8", "write the byte as an escape such as \\x{e9}");
    this.alternation();
    if (this.at < this.bytes.length) refuse(this.at, "closes a group that is not open", "write \\) for the character");
  }

  private alternation(): void {
    this.sequence();
    while (this.skip("|")) {
      this.grow(2);
      this.sequence();
    }
  }

  private sequence(): void {
    /** Size before what a quantifier would apply to. */
    let start: number | undefined;
    let quantified = false;
    for (let next = this.peek(); next !== "" && next !== "|" && next !== ")"; next = this.peek()) {
      if ("*+?{".includes(next)) {
        if (quantified) {
          const remedy = "put the first one in a group: (?:x*)+; possessive forms do not exist";
          refuse(this.at, "repeats a repetition", remedy);
        }
        if (start === undefined)
          refuse(this.at, "repeats nothing", "put a backslash before the character if it is meant as it stands");
        this.quantifier(start);
        start = undefined;
        quantified = true;
        continue;
      }
      start = this.size;
      quantified = false;
      if (next === "(") {
        if (!this.group()) start = undefined;
        continue;
      }
      this.grow(1);
      if (next === "[") this.bracket();
      else if (next === "\\" && /[dwsDWSbBAz]/.test(this.peek(1))) this.at += 2;
      else this.member();
    }
  }

  /** False: it only set flags. */
  private group(): boolean {
    const open = this.at++;
    if (this.skip("?")) {
      this.flags(open);
      if (this.skip(")")) return false;
      this.at++;
    }
    if (this.nesting === MAX_NESTING)
      refuse(open, `nests groups deeper than ${MAX_NESTING}`, "take out groups that are not needed");
    this.nesting++;
    this.alternation();
    this.nesting--;
    if (!this.skip(")")) refuse(open, "opens a group and does not close it", "add ), or write \\( for the character");
    return true;
  }

  /** Behind `(?`, up to `:` or `)`. */
  private flags(open: number): void {
    const rest = this.bytes.toString("latin1", this.at);
    const flags = /^(?:[ims]*(?=:)|[ims]+(?=\))|[ims]*-[ims]+(?=[:)]))/.exec(rest);
    if (flags !== null) {
      this.at += flags[0].length;
      return;
    }
    if (/^(?:[ims]*-)?(?:=|!|<=|<!)/.test(rest))
      refuse(open, "has look-around", "it cannot be matched in linear time; use another rule for the other condition");
    if (/^(?:[ims]*-)?[<P]/.test(rest)) refuse(open, "names a group", "nothing is captured; write (?:...)");
    const remedy = "write (...), (?:...), or flags out of i, m and s such as (?i) and (?i:...)";
    refuse(open, "has an unknown group", remedy);
  }

  private quantifier(start: number): void {
    const from = this.at;
    const rest = this.bytes.toString("latin1", from);
    const [all, mark, low, comma, high] = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})\??/.exec(rest) ?? [];
    if (all === undefined)
      refuse(from, "has a { that begins no count", "write {n}, {n,} or {n,m}, or \\{ for the character");
    const least = mark === undefined ? Number(low) : mark === "+" ? 1 : 0;
    const unbounded = mark === undefined ? comma !== undefined && high === "" : mark !== "?";
    const most = unbounded ? undefined : mark === "?" ? 1 : Number(high ?? low);
    if (Math.max(least, most ?? 0) > MAX_COUNT)
      refuse(from, `repeats more than ${MAX_COUNT} times`, `use a count up to ${MAX_COUNT}, or * or +`);
    if (most !== undefined && most < least)
      refuse(from, "has a count whose upper bound is below its lower one", "write {least,most}");
    this.at += all.length;
    const length = this.size - start;
    const repeated =
      most !== undefined
        ? least * length + (most - least) * (length + 1)
        : least === 0
          ? length + 2
          : least * length + 1;
    this.grow(repeated - length);
  }

  private bracket(): void {
    const open = this.at++;
    this.skip("^");
    for (let first = true; first || this.peek() !== "]"; first = false) {
      const from = this.at;
      if (this.peek() === "")
        refuse(open, "opens a class and does not close it", "add ], or write \\[ for the character");
      if (this.peek() === "[" && this.peek(1) === ":")
        refuse(from, "has a POSIX class", "write the ranges, such as a-z, or \\[ for the character");
      if (this.peek() === "\\" && /[dwsDWS]/.test(this.peek(1))) {
        this.at += 2;
        continue;
      }
      const low = this.member();
      if (this.peek() !== "-" || this.peek(1) === "]" || this.peek(1) === "") continue;
      this.at++;
      if (this.member() < low) refuse(from, "has a range that runs backwards", "write the lower character first");
    }
    this.at++;
  }

  /** One character, as it stands or escaped; returns its code point. */
  private member(): number {
    if (this.peek() === "\\") return this.escaped();
    const character = this.bytes.toString("utf8", this.at).codePointAt(0) ?? 0;
    this.at += Buffer.byteLength(String.fromCodePoint(character));
    return character;
  }

  private escaped(): number {
    const from = this.at++;
    const letter = this.peek();
    this.at++;
    const control = "a\x07t\tn\nv\vf\fr\r".indexOf(letter);
    if (letter === "x") return this.hexadecimal(from);
    if (letter === "") refuse(from, "ends in a backslash", "write \\\\ for the character");
    if (control >= 0 && control % 2 === 0) return "a\x07t\tn\nv\vf\fr\r".charCodeAt(control + 1);
    if (letter === "0") refuse(from, "has an octal escape", "write \\x00 or \\x{H...}");
    if (/[1-9]/.test(letter))
      refuse(from, "has a back-reference", "it cannot be matched in linear time; write the alternatives out");
    if (letter === "u") refuse(from, "has the escape \\u", "write \\x{H...} with the same digits");
    if (letter === "p" || letter === "P") refuse(from, "has a Unicode class", "write the ranges: [\\x{400}-\\x{4ff}]");
    if (/[a-zA-Z\x80-\xff]/.test(letter))
      refuse(from, "has an unknown escape", "leave the backslash out, or write \\\\ for the character");
    return letter.charCodeAt(0);
  }

  private hexadecimal(from: number): number {
    const match = /^(?:\{([0-9a-fA-F]+)\}|([0-9a-fA-F]{2}))/.exec(this.bytes.toString("latin1", this.at));
    if (match === null) refuse(from, "has a broken \\x", "write \\xHH or \\x{H...}");
    this.at += match[0].length;
    const value = Number.parseInt(match[1] ?? match[2] ?? "", 16);
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
      refuse(from, "names a character that does not exist", "use one up to 10ffff, and none from d800 to dfff");
    return value;
  }

  /** The byte at this distance as a character of Latin-1; empty behind the end. */
  private peek(distance = 0): string {
    const byte = this.bytes[this.at + distance];
    return byte === undefined ? "" : String.fromCharCode(byte);
  }

  private skip(character: string): boolean {
    if (this.peek() !== character) return false;
    this.at++;
    return true;
  }

  private grow(more: number): void {
    this.size += more;
    if (this.size > MAX_INSTRUCTIONS)
      refuse(
        this.at,
        `needs more than ${MAX_INSTRUCTIONS} states`,
        "use smaller counts, or split it into several rules",
      );
  }
}

function refuse(at: number, what: string, remedy: string): never {
  throw new Refusal(`pattern ${what} at byte ${at}: ${remedy}`);
}
