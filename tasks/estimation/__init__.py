"""What a run will need, before it starts: parameters, arithmetic, memory, disk, time, money and energy."""
