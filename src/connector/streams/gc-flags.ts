/** When the memory of a process that passes messages on is collected. */
import { setFlagsFromString } from "node:v8";

/**
 * Lets heap and buffers together grow to four times what the last full collection left before the next one begins. Left to itself V8 begins one after some
 * fifty messages of 64 KiB here: the heap is small, the buffers count towards its limit, and they go through this process faster than anything lets it collect
 * what is new, which would free them as well. Each full collection stops the event loop for 10 ms and more. Node warns of flags that are set after the start: this one is read
 * anew whenever a collection ends and the next one is planned, four times is what V8 itself takes at most, and a Node that has lost it says so on stderr and goes on.
 */
export function collectLess(): void {
  setFlagsFromString("--heap-growing-percent=300");
}
