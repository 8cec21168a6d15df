/** What the user has told the kernel to do, until it is done. */

export class Commands {
	refusals = new Map(); // what was wrong with an answer, by row
	#underWay = new Map(); // {name, row, isAccepted} by number
	#last = 0;

	/** @returns the command's number, by which it is acknowledged */
	add(name, row) {
		this.#underWay.set((this.#last += 1), { name, row, isAccepted: false });
		return this.#last;
	}

	isUnderWay(name, row) {
		return [...this.#underWay.values()].some((each) => each.name === name && each.row === row);
	}

	isUnanswered(cmd) {
		return this.#underWay.get(cmd)?.isAccepted === false;
	}

	/** @returns what there is to say of it */
	acknowledge({ cmd, ok, text, problems }) {
		const command = this.#underWay.get(cmd);
		const isAnswer = command?.name === "answer";
		if (isAnswer && !ok) this.refusals.set(command.row, { text, problems: problems ?? {} });
		// What was accepted stays under way until the head shows it.
		if (command && ok && command.name !== "rerun") command.isAccepted = true;
		else this.#underWay.delete(cmd);
		return isAnswer ? null : text;
	}

	/** What the head no longer offers is done. */
	settle({ can, questions }) {
		for (const [cmd, { name, row }] of this.#underWay) {
			const isOpen = name === "answer" ? questions.some((each) => each.row === row) : can.includes(name);
			if (!isOpen) this.#underWay.delete(cmd);
		}
	}

	clear() {
		this.#underWay.clear();
	}
}
