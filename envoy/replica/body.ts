/** Reads a request body with a bound. The length is checked while it arrives, so a client cannot make the replica hold more than the limit. */
import type { IncomingMessage } from "node:http";

export const MAX_BODY_BYTES = 64 * 1024 * 1024;

export class BodyReader {
  private chunks: Buffer[] = [];
  private length = 0;

  constructor(
    private readonly message: IncomingMessage,
    private readonly limit: number,
  ) {}

  /** True when the body was longer than the limit; nothing of it is kept then. */
  get overflowed(): boolean {
    return this.length > this.limit;
  }

  /** Resolves at the end of the body; one over the limit is drained, so that the answer can still be read. Rejects when the peer goes away. */
  async read(): Promise<void> {
    for await (const chunk of this.message as AsyncIterable<Buffer>) {
      this.length += chunk.length;
      if (this.overflowed) this.chunks = [];
      else this.chunks.push(chunk);
    }
  }

  /** What has arrived so far. */
  bytes(): Buffer {
    const [only] = this.chunks;
    return this.chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.chunks);
  }
}
