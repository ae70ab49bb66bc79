"""Floor 5: those who look. They read facts and views and can break nothing that trades."""
