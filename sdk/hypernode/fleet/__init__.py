"""A fleet: the file that describes it, the plan that brings it there, and the rollout of that plan."""
