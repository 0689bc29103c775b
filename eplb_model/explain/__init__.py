"""Why a run goes wrong: who waits for whom and why, the step that decided, what would help."""
