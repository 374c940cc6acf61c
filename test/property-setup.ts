import fc from "fast-check";

/** `maxLength: 80` means up to 80; by itself fast-check rarely goes beyond ten, and loops that take 16 bytes a step stay untested. */
fc.configureGlobal({ defaultSizeToMaxWhenMaxSpecified: true });
