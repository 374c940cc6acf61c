/**
 * Bounds-checked access to the linear memory of a module. Every accessor says whether the range was inside the memory
 * instead of throwing: the host answers INVALID_MEMORY_ACCESS and must survive any pointer.
 */
export class LinearMemory {
  readonly #memory: WebAssembly.Memory;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
  }

  get pages(): number {
    return this.#memory.buffer.byteLength / 65_536;
  }

  grow(pages: number): void {
    this.#memory.grow(pages);
  }

  /** A view that is valid until the module runs again, because memory growth detaches it. */
  view(pointer: number, size: number): Uint8Array | undefined {
    const buffer = this.#memory.buffer;
    return pointer + size <= buffer.byteLength ? new Uint8Array(buffer, pointer, size) : undefined;
  }

  copy(pointer: number, size: number): Uint8Array | undefined {
    return this.view(pointer, size)?.slice();
  }

  text(pointer: number, size: number): string | undefined {
    const bytes = this.view(pointer, size);
    return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
  }

  write(pointer: number, bytes: Uint8Array): boolean {
    const target = this.view(pointer, bytes.length);
    target?.set(bytes);
    return target !== undefined;
  }

  u32(pointer: number): number | undefined {
    const bytes = this.view(pointer, 4);
    return bytes && new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  setU32(pointer: number, value: number): boolean {
    const bytes = this.view(pointer, 4);
    if (bytes) new DataView(bytes.buffer, bytes.byteOffset, 4).setUint32(0, value >>> 0, true);
    return bytes !== undefined;
  }

  setU64(pointer: number, value: bigint): boolean {
    const bytes = this.view(pointer, 8);
    if (bytes) new DataView(bytes.buffer, bytes.byteOffset, 8).setBigUint64(0, BigInt.asUintN(64, value), true);
    return bytes !== undefined;
  }
}
