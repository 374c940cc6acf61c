/**
 * The header lines of one part of a multipart form, byte by byte: which field the part is.
 *
 * Each part has exactly one `Content-Disposition: form-data` with exactly one `name` (RFC 7578 section 4.2). Whatever parsers are known to read in different ways is refused,
 * because the upstream might find another model than the gateway: bare line breaks, folded lines, a second disposition or name, `name*`; and for the fields
 * that are read here escapes in the name, file names that only some see, and transfer encodings.
 */
import { HeaderParameters, isWord, sameWord } from "./header-parameters";
import { sameText } from "./json-capture";

/** Most bytes of all header lines of a part. */
const MAX_PART_HEADER: i32 = 8192;

export const enum PartField {
  Other = 0,
  Model = 1,
  Stream = 2,
}

export const enum PartStatus {
  More = 0,
  /** The blank line was the last byte: see `field`. */
  Complete = 1,
  Invalid = 2,
}

const CR: u8 = 0x0d;
const LF: u8 = 0x0a;

@final
export class PartHeader {
  field: PartField = PartField.Other;

  /** Bytes of the current line. */
  private length: i32 = 0;
  private total: i32 = 0;
  private behindCr: bool = false;
  private dispositions: i32 = 0;
  private encoded: bool = false;
  private readonly line: usize = heap.alloc(MAX_PART_HEADER);
  private readonly parameters: HeaderParameters = new HeaderParameters();

  begin(): void {
    this.field = PartField.Other;
    this.length = 0;
    this.total = 0;
    this.behindCr = false;
    this.dispositions = 0;
    this.encoded = false;
  }

  push(byte: u8): PartStatus {
    if (++this.total > MAX_PART_HEADER) return PartStatus.Invalid;
    if (this.behindCr) {
      if (byte != LF) return PartStatus.Invalid;
      this.behindCr = false;
      if (this.length == 0) return this.complete();
      const valid = this.endLine();
      this.length = 0;
      return valid ? PartStatus.More : PartStatus.Invalid;
    }
    if (byte == CR) {
      this.behindCr = true;
      return PartStatus.More;
    }
    if ((byte < 0x20 && byte != 0x09) || byte == 0x7f) return PartStatus.Invalid;
    store<u8>(this.line + <usize>this.length, byte);
    this.length++;
    return PartStatus.More;
  }

  private complete(): PartStatus {
    const field = this.field != PartField.Other;
    return this.dispositions == 1 && !(field && this.encoded) ? PartStatus.Complete : PartStatus.Invalid;
  }

  /** A folded line has no name before its colon, or blanks in it. */
  private endLine(): bool {
    const line = this.line;
    let name = 0;
    while (name < this.length && isWord(load<u8>(line + <usize>name))) name++;
    if (name == 0 || name == this.length || load<u8>(line + <usize>name) != 0x3a) return false;
    const value = line + <usize>name + 1;
    const length = this.length - name - 1;
    if (sameWord(line, name, "content-disposition")) return this.disposition(value, length);
    if (sameWord(line, name, "content-transfer-encoding")) this.encoding(value, length);
    return true;
  }

  private disposition(value: usize, length: i32): bool {
    const parameters = this.parameters;
    this.dispositions++;
    parameters.open(value, length);
    if (!parameters.wordIs("form-data")) return false;
    let names = 0;
    let files = 0;
    let vague = false;
    while (parameters.next()) {
      if (parameters.wordIs("name")) {
        names++;
        if (this.nameIs("model")) this.field = PartField.Model;
        else if (this.nameIs("stream")) this.field = PartField.Stream;
        if (this.field != PartField.Other && parameters.escaped) return false;
      } else if (parameters.wordStartsWith("name*")) {
        return false;
      } else if (parameters.wordIs("filename")) {
        files++;
        vague = vague || parameters.length == 0;
      } else if (parameters.wordStartsWith("filename*")) {
        vague = true;
      }
    }
    if (names != 1 || parameters.failed) return false;
    if (files == 0 && !vague) return true;
    // An empty name and `filename*` are files to some parsers only.
    const wanted = this.field != PartField.Other;
    this.field = PartField.Other;
    return !wanted || (files == 1 && !vague);
  }

  private encoding(value: usize, length: i32): void {
    this.parameters.open(value, length);
    this.encoded =
      this.encoded ||
      !(this.parameters.wordIs("binary") || this.parameters.wordIs("8bit") || this.parameters.wordIs("7bit"));
  }

  private nameIs(name: string): bool {
    return this.parameters.length == name.length && sameText(name, this.parameters.value);
  }
}
