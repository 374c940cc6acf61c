/**
 * A folder for one process at a time. The lock is a Unix socket that the owner listens at: the kernel ends it with its process, however that ends, so a crash
 * leaves nothing to wait for. A file with a process id would not do: in containers ids repeat, and whose they are cannot be seen from another container.
 *
 * Locks are numbered, and the one with the highest number counts. Its socket is there before it gets its name (a hard link, which fails where the name is taken),
 * so a lock that refuses connections is one whose process has ended. The newest stays when its owner goes: were numbers given again, a process that was stopped
 * between looking and taking could take an old one.
 *
 * Folders on a network file system are not guarded: a socket is one machine's.
 */
import { randomBytes } from "node:crypto";
import { closeSync, linkSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join } from "node:path";
import { ServerError } from "../../errors.ts";

const PREFIX = "tokenmesh.lock.";
/** Each attempt is lost to another process that has just come; after some, one of them has the folder. */
const MAX_ATTEMPTS = 16;

export class FileLock {
  readonly #path: string;
  readonly #server: Server;
  readonly #inode: bigint;

  private constructor(path: string, server: Server) {
    this.#path = path;
    this.#server = server;
    this.#inode = inodeOf(path);
  }

  /** @throws ServerError TM_STATE_LOCKED */
  static async take(folder: string): Promise<FileLock> {
    const handle = openSync(folder, "r");
    const unnamed = `${PREFIX}${randomBytes(6).toString("hex")}.new`;
    const server = await listen(shortPath(folder, handle, unnamed)).catch((error: Error) => {
      closeSync(handle);
      throw new ServerError("TM_STATE_LOCKED", `the lock of ${folder} cannot be taken: ${error.message}`);
    });
    server.once("close", () => closeSync(handle));
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const newest = Math.max(0, ...numbers(folder));
      if (newest > 0 && (await answers(shortPath(folder, handle, `${PREFIX}${newest}`)))) break;
      const path = join(folder, `${PREFIX}${newest + 1}`);
      if (!linked(join(folder, unnamed), path)) continue;
      // A name that had been given, and was removed by the owner of a later one.
      if (Math.max(...numbers(folder)) !== newest + 1) {
        rmSync(path, { force: true });
        continue;
      }
      rmSync(join(folder, unnamed), { force: true });
      for (const number of numbers(folder))
        if (number <= newest) rmSync(join(folder, `${PREFIX}${number}`), { force: true });
      return new FileLock(path, server);
    }
    server.close();
    throw new ServerError("TM_STATE_LOCKED", `another process uses ${folder}`);
  }

  /** Asked before every write: whoever removed the socket by hand may have started another server. */
  get held(): boolean {
    return inodeOf(this.#path) === this.#inode;
  }

  async release(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Addresses of sockets have 107 bytes at most; through the open folder every path is short. Other systems than Linux have no such way. */
function shortPath(folder: string, handle: number, name: string): string {
  return join(process.platform === "linux" ? `/proc/self/fd/${handle}` : folder, name);
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy()).unref();
    server.once("error", reject);
    server.listen(path, () => resolve(server));
  });
}

/** What else goes wrong than nobody listening leaves the owner his lock. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
  });
}

/** Of the locks there are. */
function numbers(folder: string): number[] {
  return readdirSync(folder)
    .filter((name) => /^tokenmesh\.lock\.[1-9]\d{0,14}$/.test(name))
    .map((name) => Number(name.slice(PREFIX.length)));
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

function inodeOf(path: string): bigint {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino ?? -1n;
}
