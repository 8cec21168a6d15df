/** The kernel's clock, as its messages tell it. */

import { SECOND } from "./times.js";

export class KernelClock {
	lastHeard = 0;
	#offset = null; // ms from the kernel's clock to the browser's
	#slowAt = 0;

	get now() {
		return Date.now() - this.#offset;
	}

	/** With a snapshot all begins anew. */
	begin(now) {
		this.#offset = null;
		this.hear(now);
	}

	/**
	 * The smallest difference ever seen is the clocks'; what is above it is delay.
	 *
	 * @returns how much of it there is, when it is time that the kernel hears of it
	 */
	hear(now) {
		const difference = Date.now() - now;
		this.lastHeard = now;
		this.#offset = Math.min(this.#offset ?? difference, difference);
		const lag = difference - this.#offset;
		if (lag < SECOND || Date.now() - this.#slowAt < 5 * SECOND) return 0;
		this.#slowAt = Date.now();
		return lag;
	}
}
