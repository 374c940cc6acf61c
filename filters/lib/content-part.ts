/** One part of a message's content while it is read: its text, and whether it is an image. */

/** Why a part is an image: its type, or Gemini's members. */
export const BY_TYPE: u32 = 1;
export const BY_DATA: u32 = 2;
export const BY_FILE: u32 = 4;

@final
export class ContentPart {
  /** Raw string token of `text`, and its size in UTF-8. */
  hasText: bool = false;
  start: u32 = 0;
  end: u32 = 0;
  bytes: u32 = 0;
  /** `BY_` bits: 0 when it is no image. */
  image: u32 = 0;
  /** Of the parts inside. */
  innerBytes: u32 = 0;
  innerImages: u32 = 0;

  clear(): void {
    this.hasText = false;
    this.bytes = 0;
    this.image = 0;
    this.innerBytes = 0;
    this.innerImages = 0;
  }

  /** A later `text` replaces this one. */
  forgetText(): void {
    this.hasText = false;
    this.bytes = 0;
  }

  take(start: u32, end: u32, bytes: u32): void {
    this.hasText = true;
    this.start = start;
    this.end = end;
    this.bytes = bytes;
  }

  /** It is an image for this reason, or no longer. */
  mark(image: bool, reason: u32): void {
    this.image = image ? this.image | reason : this.image & ~reason;
  }
}
